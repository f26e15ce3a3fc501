#!/bin/bash
# SPDX-License-Identifier: MIT
#
# readme.sh [README]    print README.md with its performance section made anew from results.json, which is what one
#                       `venom bench --json` printed; `make bench-readme` does both
set -eu
cd "$(dirname "$0")"
readme=${1:-../../README.md}

section() {
	jq -r '
		def unit($v; $u): if $v == null then "-"
			elif $u == "ns" then (if $v >= 1e6 then "\($v / 1e5 | round / 10) ms" elif $v >= 1e4 then "\($v / 100 | round / 10) us"
				elif $v >= 100 then "\($v | round) ns" else "\($v * 10 | round / 10) ns" end)
			else "\(if $v >= 100 then $v | round else $v * 10 | round / 10 end) \({"millions/s": "M/s", "1/s": "/s",
				"percent": "%", "bytes": "B", "count": ""}[$u] // $u)" end;
		def value($r; $name; $of): [$r.figures[] | select(.name == $name)][0] as $f |
			if $f == null then "-" else unit(if $f | has("value") then $f.value else $f[$of] end; $f.unit) end;
		"One run of `venom bench --slice \(.slice_s) --json` on \(.date): \(.cpu), \(.cpus) CPUs (a virtual machine), Linux \(.kernel), \(.rounds) rounds.",
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
	echo '![Latency by percentile](tools/bench/request-64.svg)'
}

awk -v begin='<!-- bench: made by tools/bench/readme.sh -->' -v end='<!-- bench: end -->' '
	$0 == begin { print; print ""; while ((getline line < "/dev/stdin") > 0) print line; print ""; skip = 1 }
	$0 == end { skip = 0 }
	!skip' "$readme" < <(section)
