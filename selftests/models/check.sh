#!/bin/bash
# SPDX-License-Identifier: MIT
#
# check.sh [MODEL...]: Spin checks every state of these models, or of all.
#
# The first comment of a model gives the definitions of each run ("check: -DVERSIONS=2"; if there are none, the model
# runs once, without any), and the functions that it models ("models: lane_room").  Each of these functions must exist
# and name the model in its comment or body ("model: lane"), and the model must name each function that names it.  The
# model must have no error, and the search must be complete.  Then check.sh breaks the model, one line at a time (the
# mutations, see memory.pml), and Spin must reject it each time.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib/verdict.sh
models=$PWD/selftests/models
sources=(libvenom/include/venom_inline.h libvenom/src/*.h libvenom/src/*/*.[ch] kmod/*.[ch])

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

result() { # STATUS NAME [DETAIL...]
	verdict "$1" "$2" && return
	shift 2
	printf '%s\n' "$@" | sed '/^$/d; s/^/# /'
}

configs() { grep -q '^ \* check: ' "$1" && sed -n 's/^ \* check: //p' "$1" || echo; }
functions() { sed -n 's/^ \* models: //p' "$1" | tr ' ' '\n'; }
mutations() { grep -nE '/\* (removed|relaxed|swapped|broken .*): .* \*/' "$1" | cut -d: -f1; }

# verify -O MODEL DEFINITION...: runs Spin in $tmp; the output is in $tmp/out.
verify() {
	local optimize=$1 model=$2
	shift 2
	(
		cd "$tmp" || exit
		spin -a "$@" "$model" && gcc $optimize -w -DSAFETY -DNOREDUCE -DVECTORSZ=2048 -DMEMLIM=3000 -o pan pan.c &&
			timeout 250 ./pan -m200000 -w21 -n
	) >"$tmp/out" 2>&1
}

whole() { grep -q 'errors: 0$' "$tmp/out" && ! grep -qE 'too small|not completed|^spin:' "$tmp/out"; }
rejected() { grep -E '^pan:.*(assertion violated|invalid end state)' "$tmp/out" | grep -qv 'depth_is_enough'; }

# mutant MODEL LINE: prints the model with that line broken.
mutant() {
	awk -v at="$2" '
		NR == at {
			match($0, /\/\* (removed|relaxed|swapped|broken .*): .*\*\//)
			how = substr($0, RSTART + 3)
			split(how, word, /[ :]/)
			if (word[1] == "removed") { print ""; next }
			if (word[1] == "relaxed") { if (!gsub(/RELEASE|ACQUIRE/, "RELAXED")) exit 1; print; next }
			if (word[1] == "swapped") { held = $0; next }
			sub(/^broken /, "", how)
			sub(/: [^:]*$/, "", how)
			print how
			next
		}
		held != "" { print; print held; held = ""; next }
		{ print }' "$1"
}

# namers: prints the functions that name this model, in the function or in the comment right before it.
namers() { # MODEL-NAME
	awk -v name="$1" '
		/^[a-zA-Z].*\(/ && !/;$/ && !/^(#|typedef|struct [a-z_]+ \{)/ {
			f = $0; gsub(/__attribute__\(\([a-z_]*\)\)/, "", f); sub(/\(.*/, "", f); sub(/.*[ *]/, "", f)
			if (before) print f
			before = 0
		}
		/^}/ { f = "" }
		match($0, /model: [a-z, -]*/) {
			n = split(substr($0, RSTART + 7, RLENGTH - 7), of, /[, ]+/)
			for (i = 1; i <= n; i++)
				if (of[i] == name) { if (f != "") print f; else before = 1 }
		}' "${sources[@]}" | sort -u
}

# agree: finds functions that the model names but that do not name it, the reverse, and models that do not exist.
agree() { # MODEL
	local name
	detail=$(
		diff <(functions "$1" | sort -u) <(namers "$(basename "$1" .pml)") |
			sed -n 's/^< \(.*\)/\1 is not there, or does not name the model/p; s/^> \(.*\)/\1 names the model, which does not name it/p'
		for name in $(grep -ohE 'model: [a-z, -]+' "${sources[@]}" | sed 's/model: //; s/,/ /g'); do
			[ -e "$models/$name.pml" ] || echo "the code names $name, which is no model"
		done
	)
	[ -z "$detail" ]
}

# same MODEL MODEL DEFINITION...: the two models do not differ with these definitions.
same() {
	local a=$1 b=$2
	shift 2
	cmp -s <(cd "$tmp" && cpp -P -w "$@" "$a") <(cd "$tmp" && cpp -P -w "$@" "$b")
}

[ $# -gt 0 ] || set -- $(cd "$models" && basename -s .pml ./*.pml | grep -vx memory)
total=0
for name; do
	model=$models/$name.pml
	[ -e "$model" ] || { echo "check.sh: no model '$name'" >&2; exit 2; }
	total=$((total + 1 + $(configs "$model" | wc -l) + $(mutations "$model" | wc -l)))
done
echo "1..$total"

for name; do
	model=$models/$name.pml
	cp "$models/memory.pml" "$model" "$tmp/"

	agree "$model"
	result $? "$name and the functions that it stands for name each other" "${detail-}"

	while read -r defs; do
		start=$EPOCHSECONDS
		# shellcheck disable=SC2086 # a list
		verify -O2 "$name.pml" $defs
		whole
		result $? "$name ${defs:+$defs }has no error" "$(tail -n 20 "$tmp/out")"
		echo "# $name${defs:+ $defs}: $(awk '/states, stored/ { print $1; exit }' "$tmp/out") states in $((EPOCHSECONDS - start)) s"
	done < <(configs "$model")

	for line in $(mutations "$model"); do
		label=$(sed -En "$line s|.*/\* ((removed\|relaxed\|swapped\|broken .*): .*) \*/.*|\1|p" "$model")
		status=1
		if ! mutant "$model" "$line" >"$tmp/broken.pml"; then
			result 1 "$name:$line $label: the line is not as it was"
			continue
		fi
		while read -r defs; do
			# shellcheck disable=SC2086
			! same "$name.pml" broken.pml $defs || continue
			# shellcheck disable=SC2086
			verify -O0 broken.pml $defs
			if rejected; then status=0; break; fi
			grep -qE '^spin:|rror: ' "$tmp/out" && break
		done < <(configs "$model")
		result $status "$name:$line is rejected $label" "$(tail -n 20 "$tmp/out")"
	done
done
exit $failed
