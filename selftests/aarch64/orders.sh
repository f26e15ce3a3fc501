#!/bin/bash
# SPDX-License-Identifier: MIT
#
# orders.sh: checks that the barriers of barrier.h's list are in the code, at their places.  On x86 most of them are no
# instruction, and no test there notices a missing one; on aarch64 each is an instruction.  The library is compiled
# without optimization, so that each function stays separate and keeps the order of its source; its loads, stores,
# barriers and calls are compared to the list below.
# orders.sh [FUNCTION...]: all of the list, or these functions only.  TAP on stdout; run by run.sh --aarch64.
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib/verdict.sh
b=build/aarch64/orders cross=aarch64-linux-gnu

# The pair's number in barrier.h (-: the pair is explained at its code), file, function, and what must be there in this
# order: plain accesses (ld, st), ordered ones (ldacq, strel), fences (full, acq; a release fence is a full one here),
# calls (...()).  "^" is the function's begin, "*" is anything between.
list='
1 calls/publish   venom_ring_begin           strel full
1 calls/publish   venom_ring_commit          ^ st st strel
1 calls/read      venom_ring_claim           ldacq ld
1 calls/read      venom_ring_check           ^ acq ld
1 calls/publish   venom_inline_publish       strel full * st * strel * strel * strel
1 calls/read      venom_inline_copy          acq * ld
1 whole           venom_inline_whole         ^ acq ld
2 calls/publish   venom_ring_commit          ^ st * strel * strel
2 calls/read      venom_ring_pick            ldacq * venom_ring_claim()
2 calls/read      venom_ring_newer           ldacq
2 calls/read      venom_ring_latest          ldacq ldacq
2 control/shell   venom_ring_last            ldacq
3 calls/receive   venom_slot_fill            copy_to_shared() st st st venom_slot_data() copy_to_shared() strel
3 calls/request   venom_slot_fill            copy_to_shared() st st st venom_slot_data() copy_to_shared() strel
3 calls/request   put_block                  venom_block_put() * venom_block_put() venom_block_show()
3 calls/request   venom_block_show           ^ st st strel
3 calls/lanes     venom_slot_ready           ldacq
3 calls/request   venom_slot_ready           ldacq
4 calls/receive   daemon_take                copy_from_shared() * lane_advance()
4 calls/receive   block_take                 venom_block_get() * lane_advance()
4 calls/receive   venom_lane_advance         ^ strel
4 calls/receive   lane_advance               ^ venom_lane_advance() full venom_asleep()
4 calls/request   venom_lane_taken           ^ ldacq
4 calls/request   room_now                   ^ venom_lane_taken()
5 calls/receive   venom_must_wake            ^ full venom_asleep()
5 calls/receive   venom_daemon_respond       venom_slot_fill() * wake_for_answer()
5 calls/receive   wake_for_answer            ^ venom_must_wake()
5 memfd/daemon    wake_state                 full ldacq * ldacq venom_asleep()
5 dev/daemon      wake_state                 ^ full ld
5 calls/request   wake_daemon                ^ venom_must_wake()
5 calls/wait      venom_arm                  ^ st full
5 calls/wait      shell_arm                  venom_arm() * venom_membarrier_daemons()
5 calls/receive   daemon_arm                 venom_arm()
6 calls/publish   commit                     ^ venom_ring_commit() strel ld
6 memfd/conn      conn_watch                 venom_readers_add() * strel * venom_membarrier() proto_send()
6 control/readers venom_readers_add          strel * strel
7 control/manager venom_manager_add          strel st changed() full
7 control/manager changed                    ^ strel
7 calls/lanes     venom_lanes_sync           ^ ldacq * ldacq * strel
7 control/manager retire                     strel changed()
7 control/manager venom_manager_tidy         retire() * venom_fence_all() * ldacq * free_retired()
7 control/manager venom_fence_all            ^ full * venom_membarrier()
7 control/manager is_over                    ^ ldacq * ldacq * ldacq
7 calls/receive   serve_enter                ^ st full ld
7 calls/receive   serve_leave                ^ strel
7 memfd/daemon    walk_begin                 ^ strel full
7 memfd/daemon    walk_end                   ^ strel
7 memfd/daemon    wake_state                 ^ walk_begin() * walk_end()
7 control/manager venom_manager_gone         ^ st
7 control/manager is_done                    is_drained() * venom_fence_all() is_drained()
7 control/manager is_drained                 ^ ldacq ldacq
7 calls/receive   lane_advance               ^ venom_lane_advance() full venom_asleep() * ld
- calls/receive   lane_pass                  venom_slot_fill() wake_for_answer() lane_advance()
9 calls/publish   venom_ring_open            strel full venom_ring_held()
9 calls/publish   venom_ring_held            ldacq * ldacq
9 calls/roles     venom_ring_hold            ^ strel full ld
9 calls/roles     venom_ring_release         ^ strel
10 calls/publish   venom_ring_owed            ldacq
10 calls/publish   venom_reader_at            ldacq
10 calls/roles     venom_cursor_move          ^ strel
10 calls/publish   arm_publish                venom_arm() venom_membarrier_daemons()
11 control/readers set_roles                  venom_readers_add() * venom_fence_all() * ldacq
11 control/readers venom_readers_take         ^ ldacq * set_roles()
11 control/readers venom_readers_answer       strel
11 dev/daemon      lane_add                   venom_readers_take() venom_manager_add() * venom_readers_answer()
11 calls/roles     venom_roles_wait           ldacq
11 calls/publish   commit                     venom_ring_commit() strel
- control/shell   resumed                    ^ venom_lane_taken()
- control/shell   venom_shell_gone           ldacq * ldacq
'

# code FILE: prints a line for each of its functions: the name, and the instructions that matter.  Accesses to the stack
# or at an offset in a struct are left out: the atomics use a bare address.
code() {
	$cross-objdump -d --no-show-raw-insn "$b/libvenom/src/$1.o" | awk '
		/^[0-9a-f]+ <.*>:$/ { printf "%s%s", line, line ? "\n" : ""; line = substr($2, 2, length($2) - 3) " "; next }
		$2 == "bl" && $4 !~ /\+0x/ { called = $4; gsub(/[<>]/, "", called); line = line called "() "; next }
		/\[sp|\[x[0-9]+, / { next }
		$2 ~ /^ldap?r/ { line = line "ldacq " }
		$2 ~ /^stlr/ { line = line "strel " }
		$2 ~ /^ld[pr]/ { line = line "ld " }
		$2 ~ /^st[pr]/ { line = line "st " }
		$2 == "dmb" { line = line ($3 == "ishld" ? "acq " : "full ") }
		END { print line }'
}

if [ $# -gt 0 ]; then
	list=$(awk -v of=" $* " 'index(of, " " $3 " ")' <<<"$list")
	[ -n "$list" ] || { echo "orders.sh: the list has nothing of $*" >&2; exit 2; }
fi
mapfile -t files < <(awk 'NF { print $2 }' <<<"$list" | sort -u)
rm -rf $b # objects that were built with other flags
mkdir -p $b/libvenom/src $b/{calls,control,memfd,dev}
objects=()
for file in "${files[@]}"; do [ "$file" = whole ] || objects+=("$b/libvenom/src/$file.o"); done
[ ${#objects[@]} = 0 ] || make --no-print-directory -s B=$b CC=$cross-gcc CFLAGS=-O0 "${objects[@]}" >&2 || exit 1
if [ ${#objects[@]} != ${#files[@]} ]; then # a function that the library itself does not use
	printf '#include <venom_inline.h>\nint whole(struct venom_inline_reader *r);\nint whole(struct venom_inline_reader *r)\n{\n\treturn venom_inline_whole(r);\n}\n' |
		$cross-gcc -O0 -Ilibvenom/include -c -x c -o $b/libvenom/src/whole.o - || exit 1
fi
for file in "${files[@]}"; do code "$file" >"$b/$file.code"; done

while read -r pair file function want; do
	[ -n "$pair" ] || continue
	have=" $(sed -n "s/^$function //p" "$b/$file.code")"
	pattern=${want//()/\\(\\)}
	pattern=${pattern// \* / (.* )?}
	case $pattern in "^ "*) ;; *) pattern=" $pattern" ;; esac
	grep -qE "$pattern " <<<"$have"
	verdict $? "$pair $file.c, $function: $want" || echo "# have:$have"
done <<<"$list"

echo "1..$n"
exit $failed
