#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What every verb of `venom --help` owes: its own --help, a usage error for an unknown option, its place in venom(1) with the
# very options that --help lists, and completion.  What the verbs do: tool/tool.sh.  TAP on stdout; B names the build folder.
set -u
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib/verdict.sh
venom=$PWD/${B:-build}/venom page=libvenom/man/venom.1.scd
case ${B:-} in /*) venom=$B/venom ;; esac
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export VENOM_RUNTIME_DIR=$tmp
. tools/venom.bash-completion
: >"$tmp/log"

# section VERB: its text in the manual page.
section() { awk -v of="## $1" '/^#/ { on = $0 == of; next } on' $page; }

# documented VERB: the options in its section, and in the one of the verb that this section refers to.
documented() {
	local other
	section "$1" | grep '^\*--' | grep -oE -- '--[a-z-]+'
	for other in $(section "$1" | grep -oE 'every daemon, see \*[a-z]+\*' | grep -oE '\*[a-z]+\*' | tr -d '*'); do documented "$other"; done
}

# tab WORD...: what completion offers for the last one.
tab() {
	COMP_WORDS=(venom "$@")
	COMP_CWORD=$#
	_venom "$venom" "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
	printf '%s\n' "${COMPREPLY[@]}" | sort
}

"$venom" --help >"$tmp/help" 2>"$tmp/log"
mapfile -t verbs < <(sed -n 's/^  \([a-z]*\)  *.*/\1/p' "$tmp/help")
[ ${#verbs[@]} -gt 0 ]
explained $? "--help lists the verbs"

for verb in "${verbs[@]}"; do
	if [ "$verb" = bench ] && [ ! -x "$venom-bench" ]; then # a program of its own
		skip bench "no $venom-bench here"
		continue
	fi
	"$venom" "$verb" --help >"$tmp/help" 2>"$tmp/log" && [ ! -s "$tmp/log" ] && head -n 1 "$tmp/help" | grep -qE "^usage: venom $verb( |\$)"
	explained $? "$verb --help"
	"$venom" "$verb" --no-such-option >"$tmp/out" 2>"$tmp/log"
	[ $? = 2 ] && [ ! -s "$tmp/out" ] && grep -q "no-such-option" "$tmp/log" && grep -q -- "--help" "$tmp/log"
	explained $? "$verb: an unknown option is a usage error"

	grep -qE "^\*venom $verb\*.*\+\+\$" $page || echo "SYNOPSIS has no line '*venom $verb* ...++'" >>"$tmp/log"
	[ -n "$(section "$verb")" ] || echo "VERBS has no section '## $verb'" >>"$tmp/log"
	[ ! -s "$tmp/log" ]
	explained $? "$verb is in venom(1)"
	grep -oE '^ +--[a-z-]+' "$tmp/help" | tr -d ' ' | sort -u >"$tmp/options"
	documented "$verb" | sort -u | diff "$tmp/options" - >"$tmp/log"
	explained $? "$verb: venom(1) has the options that --help lists"

	tab "$verb" | grep -qxF -- "$verb" || echo "'venom $verb' is not offered" >>"$tmp/log"
	tab "$verb" --zz | grep -q . && echo "an option is offered that is none" >>"$tmp/log"
	tab "$verb" -- | grep -vxF -- --help | diff "$tmp/options" - >>"$tmp/log"
	[ ! -s "$tmp/log" ]
	explained $? "$verb: completion"
done

sed -n 's/^## //p; s/^\*venom \([a-z]*\)\*.*/\1/p' $page | sort -u | diff - <(printf '%s\n' "${verbs[@]}" | sort) >"$tmp/log"
explained $? "venom(1) has no other verbs"

echo "1..$n"
exit $failed
