#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The module's source, as the kernel's own tools see it: sparse for each kernel whose headers are installed, checkpatch
# --strict, cppcheck.  (gcc's W=1 is vm.sh's.)  What is asked of versions stands in compat.h alone.
cd "$(dirname "$0")/../.." || exit 1
. selftests/lib/verdict.sh
. selftests/vm/fetch.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

result() { # result STATUS NAME: with what is in $tmp/log, if it failed
	verdict "$1" "$2" || grep -v '^total: 0 errors, 0 warnings, 0 checks' "$tmp/log" | head -n 30 | sed 's/^/# /'
}

found=
for kdir in /lib/modules/*/build; do
	[ -e "$kdir/include/generated/utsrelease.h" ] || continue
	found=1 release=$(basename "$(dirname "$kdir")")
	mkdir "$tmp/$release"
	cp -r Kbuild kmod "$tmp/$release/"
	make -C "$kdir" M="$tmp/$release" C=2 modules >"$tmp/log" 2>&1
	status=$?
	grep -E "kmod/.*(warning|error):" "$tmp/log" >"$tmp/said" && status=1 && mv "$tmp/said" "$tmp/log"
	result $status "sparse, for $release"
done
[ -n "$found" ] || skip "sparse" "no kernel's headers are installed"

# Out of the kernel's source, once a machine.
checkpatch=$cache/checkpatch-6.12/checkpatch.pl
if [ ! -e "$checkpatch" ]; then
	mkdir "$tmp/scripts"
	kernel_tar | tar -x -C "$tmp/scripts" --strip-components=2 --wildcards '*/scripts/checkpatch.pl' \
		'*/scripts/spelling.txt' '*/scripts/const_structs.checkpatch' 2>/dev/null
	mkdir -p "$cache"
	mv -T "$tmp/scripts" "${checkpatch%/*}" 2>/dev/null
fi
# Not asked: a module out of tree has to look at versions (compat.h); headers for user space can't use BIT() nor plain inline, and have
# their asserts right below what is asserted; TRACE_EVENT and the table of calls have a layout of their own.
ignore=LINUX_VERSION_CODE,CONSTANT_COMPARISON,BIT_MACRO,LINE_SPACING,CAMELCASE,BLOCK_COMMENT_STYLE
ignore=$ignore,INLINE,OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT,MACRO_ARG_REUSE,MACRO_ARG_UNUSED
if [ -e "$checkpatch" ]; then
	cp -r kmod "$tmp/" # it leaves notes where it runs
	(cd "$tmp" && perl "$checkpatch" --no-tree --strict --terse --quiet --max-line-length=120 --ignore "$ignore" \
		-f kmod/*.[ch] kmod/uapi/linux/*.h) >"$tmp/log" 2>&1
	result $? "checkpatch --strict"
else
	skip "checkpatch" "not to be had"
fi

# It takes list_for_each_entry's variable for one that nobody has set.
cppcheck -q --error-exitcode=1 --enable=warning,style,performance,portability --std=c11 -Ikmod -Ikmod/uapi \
	--suppress=uninitvar:kmod/channel.c kmod/*.c >"$tmp/log" 2>&1
result $? "cppcheck"

grep -ln 'LINUX_VERSION_CODE\|KERNEL_VERSION(' kmod/*.[ch] | grep -v compat.h >"$tmp/log"
[ ! -s "$tmp/log" ]
result $? "versions are asked for in compat.h alone"
# 32 bits say too little; __u64 is aligned otherwise there, too.
echo '#include <linux/venom_layout.h>' >"$tmp/layout.c"
as_32="cc -m32 -E -Ikmod/uapi -idirafter /usr/include/$(cc -print-multiarch)"
if echo '#include <linux/types.h>' | $as_32 - >"$tmp/log" 2>&1; then
	$as_32 "$tmp/layout.c" >"$tmp/log" 2>&1
	grep -q '#error "venom needs a 64-bit user space' "$tmp/log"
	result $? "the headers refuse a 32-bit user space"
else
	skip "the headers refuse a 32-bit user space" "no 32-bit compiler"
fi
echo "1..$n"
exit $failed
