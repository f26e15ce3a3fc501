#!/bin/bash
# SPDX-License-Identifier: MIT
#
# readme.sh FILE    print this document with its tables made anew from results.json, which is what one `venom bench --json`
#                   printed: all rows, or the headlines, as its marks say; `make bench-readme` does it for both
set -eu
file=$(realpath "${1:?usage: readme.sh FILE}")
cd "$(dirname "$0")"

# units: how a figure is written.
units='
	def unit($v; $u): if $v == null then "-"
		elif $u == "ns" then (if $v >= 1e6 then "\($v / 1e5 | round / 10) ms" elif $v >= 1e4 then "\($v / 100 | round / 10) us"
			elif $v >= 100 then "\($v | round) ns" else "\($v * 10 | round / 10) ns" end)
		else "\(if $v >= 100 then $v | round else $v * 10 | round / 10 end) \({"millions/s": "M/s", "1/s": "/s",
			"percent": "%", "bytes": "B", "count": ""}[$u] // $u)" end;
	def value($r; $name; $of): [$r.figures[] | select(.name == $name)][0] as $f |
		if $f == null then "-" else unit(if $f | has("value") then $f.value else $f[$of] end; $f.unit) end;
	def run: "One run of `venom bench --slice \(.slice_s) --json` on \(.date): \(.cpu), \(.cpus) CPUs (a virtual machine), Linux \(.kernel), \(.rounds) rounds.";
'

headlines() {
	jq -r "$units"'
		[["a 64-byte request and its answer", "request-64", "venom", "a line each way, 8 bytes"],
		 ["the same, with sleeps, CPUs that do not halt", "request-sleep-nohalt", "venom", "eventfd"],
		 ["64-byte commands one way", "stream-64", "venom", "Concurrency Kit ring"],
		 ["the same, 32 at a time", "stream-64", "venom, 32 at a time", "venom"],
		 ["64-byte versions, none missed", "stream-lossless", "venom", "venom'"'"'s lane"],
		 ["64 bytes read, in line", "read-64", "venom, in line", "venom'"'"'s words by hand"],
		 ["64 bytes, from publish to seen", "fresh-64", "venom", "one way, by hand"],
		 ["64 KiB published", "publish-64k", "venom", "best by hand"],
		 ["the same, beside 16 holders", "publish-64k-held", "venom, 16 holders", "venom, no holder"],
		 ["8K video frames captured", "video-8k", "venom: captured", "filled by hand, beside"]] as $lines |
		run, "Medians; the ratio is taken within each round.", "",
		"| | row | venom | beside it | ratio |", "|---|---|---|---|---|",
		(. as $all | $lines[] as [$what, $row, $figure, $beside] | ($all.rows[] | select(.name == $row)) as $r |
			($r.goals[] | select(.figure == $figure and .beside == $beside and .of == "p50")) as $g |
			"| \($what) | `\($row)` | \(value($r; $figure; "p50")) | \($beside): \(value($r; $beside; "p50")) | \($g.ratio * 100 | round / 100) |")
	' results.json
}

rows() {
	jq -r "$units"'
		run,
		"The limit is measured beside each figure, in the same round; ratios are medians over the rounds.", "",
		"| row | venom | the limit or the peer beside it | ratio | target | |", "|---|---|---|---|---|---|",
		(.rows[] as $r | $r.goals[] | select(.ratio != null) |
			(if .beside == "" and (.at_most // 0) >= 1e4 then "" elif has("at_least") then ">= \(.at_least * 1000 | round / 1000)" else "<= \(.at_most * 1000 | round / 1000)" end) as $bound |
			(if .beside == "" then (if .at_most != null and .at_most >= 1e4 then "\(.at_most / 1000) us" else "" end) else "\(.beside)\(if .beside_of == "p50" then "" else " " + .beside_of end): \(value($r; .beside; .beside_of))" end) as $beside |
			"| \($r.name) | \(.figure)\(if .of == "p50" then "" else " " + .of end): \(value($r; .figure; .of)) | \($beside) | \(if .beside == "" then "" else .ratio * 100 | round / 100 end) | \($bound) | \(if .met then "met" else "missed" end) |"),
		"",
		"And the peers, both ways:", "",
		"| | 64 bytes asked and answered, p50 | p99 | p99.99 | one way |", "|---|---|---|---|---|",
		((.rows[] | select(.name == "request-64")) as $q | (.rows[] | select(.name == "stream-64")) as $s |
			$q.figures[] | select(has("skipped") | not) |
			"| \(.name) | \(unit(.p50; "ns")) | \(unit(.p99; "ns")) | \(unit(.["p99.99"]; "ns")) | \(value($s; .name; "p50")) |")
	' results.json
	echo
	echo '![Latency by percentile](request-64.svg)'
}

for what in headlines rows; do
	mark="<!-- $what: made by tools/bench/readme.sh -->"
	grep -qF "$mark" "$file" || continue
	awk -v begin="$mark" -v end='<!-- end -->' '
		$0 == begin { print; print ""; while ((getline line < "/dev/stdin") > 0) print line; print ""; skip = 1 }
		skip && $0 == end { skip = 0 }
		!skip' "$file" < <("$what")
	exit
done
echo "readme.sh: $file: no mark for headlines or rows" >&2
exit 1
