# SPDX-License-Identifier: MIT
#
#   make            libvenom and the venom tool, under build/
#   make demo       the main job, live, for some seconds
#   make bench      all of it, measured beside the machine's limit and beside others; BENCH='--quick'
#   make check      every test, here and, with the module, in virtual machines of Debian's kernels
#   make check-models   every state of the models of the protocols
#   make check-aarch64  libvenom and its tests built for aarch64, and run under qemu-user
#   make check-debug    the module's tests on a kernel that checks itself, and on a real-time one
#   make fuzz       FUZZ=names, TIME=seconds each: fuzzers for what hostile peers may do
#   make soak       20 minutes at full speed, at the end all as it was in the beginning; TIME=seconds
#   make docs       the manual pages, build/man/, and the drawings, libvenom/docs/*.svg
#   make modules    venom.ko, build/kmod-*/; KDIR=, the kernel's headers
#   make vm         a shell in a virtual machine that has the module; KERNEL=6.12
#   make install    DESTDIR=, PREFIX=/usr/local
#   make install-kmod  the module's source for DKMS, its udev rule and group; DESTDIR=
#   make help       the rest
#
# B names another build folder, SAN a sanitizer: make SAN=address B=build/asan

VERSION := 0.1.0
SOVER   := 0
PREFIX  ?= /usr/local
B       ?= build
CFLAGS  ?= -O2 -g
OBJCOPY ?= objcopy
SAN     ?=
KDIR    ?= /lib/modules/$(shell uname -r)/build
KERNEL  ?= 6.12

flags := -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -fvisibility=hidden -fPIC -fno-semantic-interposition -pthread \
	 -D_GNU_SOURCE -DVENOM_VERSION='"$(VERSION)"' -Ilibvenom/include -Ikmod/uapi -MMD -MP \
	 $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
link  := -pthread $(if $(SAN),-fsanitize=$(SAN))

lib_obj  := $(patsubst %.c,$B/%.o,$(wildcard libvenom/src/*/*.c))
tool_obj := $(patsubst %.c,$B/%.o,$(wildcard tools/*.c))
# Each C file in these folders of selftests/ is one test program, $B/selftests/NAME; kmod/NAME if it tests the module.
test_src := $(wildcard $(addprefix selftests/,$(addsuffix /*.c,api attack crash load plane tool kmod)))
tests    := $(patsubst kmod/%,$B/selftests/kmod/%,$(foreach t,$(test_src:selftests/%.c=%),\
	    $(if $(filter kmod/%,$t),$t,$B/selftests/$(notdir $t))))
test_obj := $(test_src:%.c=$B/%.o)
test_lib := $(patsubst %.c,$B/%.o,$(wildcard selftests/lib/*.c))
man      := $(patsubst libvenom/man/%.scd,$B/man/%,$(wildcard libvenom/man/*.scd))

all: $B/libvenom.so.$(SOVER) $B/libvenom.a $B/libvenom.pc $B/venom

$B/libvenom.so.$(SOVER): $(lib_obj) libvenom/libvenom.map
	$(CC) $(CFLAGS) $(link) -shared -Wl,-soname,libvenom.so.$(SOVER) -Wl,--version-script=libvenom/libvenom.map \
		-Wl,--no-undefined $(LDFLAGS) -o $@ $(lib_obj)
	ln -sf libvenom.so.$(SOVER) $B/libvenom.so

$B/libvenom/%.o $B/points/libvenom/%.o: flags += -Ilibvenom/src

# In one object whose hidden symbols are local: a program may have its own ring() or close_fd().
$B/libvenom.a: $(lib_obj)
	rm -f $@
	$(CC) $(CFLAGS) -r -nostdlib -o $B/libvenom.o $^
	$(OBJCOPY) --localize-hidden $B/libvenom.o
	$(AR) rcs $@ $B/libvenom.o

$B/libvenom.pc: libvenom/libvenom.pc.in Makefile
	@mkdir -p $(@D)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' $< > $@

$B/venom: $(tool_obj) $B/libvenom.a
	$(CC) $(CFLAGS) $(link) $(LDFLAGS) -o $@ $^

$B/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(flags) $(CFLAGS) -c -o $@ $<

# The kselftest harness, out of Debian's kernel source; shared by all variants of the build.
harness   := build/kselftest
test_libs := -luring
$(harness)/kselftest_harness.h:
	selftests/get-harness.sh $(harness)

# The test programs see the library's private parts too.
$B/selftests/%.o: flags += -Ilibvenom/src -I$(harness) -Iselftests $(if $(test_libs),,-DVT_NO_URING)
$(test_obj) $(test_lib): | $(harness)/kselftest_harness.h
$(foreach o,$(test_obj),$(eval $(if $(filter %/kmod/,$(dir $o)),$(o:.o=),$B/selftests/$(notdir $(o:.o=))): $o))
$(filter-out %/killpoints,$(tests)): $(test_lib) $(lib_obj)
$(tests):
	$(CC) $(CFLAGS) $(link) $(LDFLAGS) -o $@ $^ $(test_libs)

$B/selftests/fields: $(patsubst %,$B/tools/%.o,fields fields_print json text)

# The library once more, with a point at each store to shared pages at which a test can end the process.
points_obj := $(patsubst %.c,$B/points/%.o,$(wildcard libvenom/src/*/*.c))
$B/points/%.o: flags += -Iselftests -DVENOM_HOOKS='"lib/killpoint.h"'
$B/points/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(flags) $(CFLAGS) -c -o $@ $<
$B/points.o: $(points_obj) selftests/lib/killpoint.sym
	$(CC) $(CFLAGS) -r -nostdlib -o $@ $(points_obj)
	$(OBJCOPY) --redefine-syms=selftests/lib/killpoint.sym $@
$B/selftests/killpoints: $(test_lib) $B/points.o

# The fuzzers: each selftests/fuzz/NAME.c is one, with what it fuzzes built anew around hooks, in build/fuzz/.
fuzzers := $(patsubst %.c,build/fuzz/%,$(wildcard selftests/fuzz/*.c))
fuzz_lib := $(patsubst %.c,build/fuzz/%.o,$(wildcard selftests/fuzz/lib/*.c))
build/fuzz/selftests/fuzz/%: build/fuzz/selftests/fuzz/%.o $(fuzz_lib) $(test_lib) $(lib_obj)
	$(CC) $(CFLAGS) $(link) $(LDFLAGS) -o $@ $(filter-out $(not_for_$*),$^)
# memory.c takes the place of backend.c; place.c needs that one.
not_for_lane := build/fuzz/libvenom/src/control/backend.o build/fuzz/selftests/lib/place.o
build/fuzz/selftests/fuzz/pub build/fuzz/selftests/fuzz/req: $(filter-out %/venom.o %/pub.o %/req.o,$(tool_obj))
build/fuzz/selftests/fuzz/fields: $(patsubst %,build/fuzz/tools/%.o,fields fields_print json text)
fuzzers:
	@$(MAKE) --no-print-directory B=build/fuzz CC=clang SAN=fuzzer,address,undefined \
		CFLAGS='-O1 -g -Werror -fno-sanitize-recover=undefined' \
		CPPFLAGS='-DVENOM_HOOKS="\"fuzz/lib/looks.h\"" -Iselftests' $(fuzzers)

tests: all $(tests) $B/venom-bench

# Loaded by run.sh before the C library; see there.
$B/selftests/aarch64/%.so: $B/selftests/aarch64/%.o
	$(CC) $(CFLAGS) -shared -o $@ $<

# venom.ko, out of tree: each kernel's in a folder of its own, which has the sources as links.
kver = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(KDIR)/include/generated/utsrelease.h 2>/dev/null)
modules:
	@test -n "$(kver)" || { echo "make modules: no kernel headers in KDIR=$(KDIR)" >&2; exit 1; }
	@mkdir -p build/kmod-$(kver)
	@cp -rsf $(CURDIR)/Kbuild $(CURDIR)/kmod build/kmod-$(kver)/
	$(MAKE) -C $(KDIR) M=$(CURDIR)/build/kmod-$(kver) modules

$B/man/%: libvenom/man/%.scd
	@mkdir -p $(@D)
	@tools/deps.sh man
	scdoc < $< > $@

man: $(man)

# The drawings, which are committed: an SVG has nothing of graphviz's version, and names the very .dot that it is made of.
docs: man
	@tools/deps.sh docs
	for f in libvenom/docs/*.dot; do \
		dot -Tsvg $$f > $B/drawing.svg || exit 1; \
		{ echo '<?xml version="1.0" encoding="UTF-8" standalone="no"?>'; \
		  echo '<!-- SPDX-License-Identifier: MIT -->'; \
		  echo "<!-- Made by make docs; sha256 of $${f##*/}: $$(sha256sum < $$f | cut -d' ' -f1) -->"; \
		  sed -n '/^<svg/,$$p' $B/drawing.svg; } > $${f%.dot}.svg; \
	done

# The benchmark is a program of its own: it is linked with what it is compared to, as far as that is installed.
bench_obj := $(patsubst %.c,$B/%.o,$(wildcard tools/bench/*.c)) $(patsubst %.cc,$B/%.o,$(wildcard tools/bench/*.cc)) \
	     $(patsubst %,$B/tools/%.o,util text child hist bounce json)
H := \#
have  = $(shell echo '$Hinclude <$1>' | $(CC) -E - >/dev/null 2>&1 && echo $2)
# Debian's iceoryx is in a folder of its version, and its headers want libacl's.
iceoryx := $(lastword $(sort $(wildcard /usr/include/iceoryx/v*)))
iceoryx := $(if $(iceoryx),$(call have,sys/acl.h,$(iceoryx)))
peers = $(call have,zmq.h,-lzmq) $(call have,nng/nng.h,-lnng) $(call have,ck_ring.h,ck) $(call have,boost/version.hpp,boost) \
	$(if $(iceoryx),$(addprefix -liceoryx_,posh_roudi posh hoofs platform))
# Changes when one was installed since.
$B/peers: always
	@mkdir -p $(@D)
	@echo '$(peers)' | cmp -s - $@ || echo '$(peers)' > $@
$(filter $B/tools/bench/peer_% $B/tools/bench/boost_% $B/tools/bench/iceoryx%,$(bench_obj)): $B/peers
$B/tools/bench/peer_iceoryx.o: flags += $(iceoryx:%=-isystem %)
$B/%.o: %.cc Makefile
	@mkdir -p $(@D)
	$(CXX) $(CPPFLAGS) $(iceoryx:%=-isystem %) -std=gnu++17 -Wall -Wextra -MMD -MP $(CFLAGS) -c -o $@ $<
$B/venom-bench: $(bench_obj) $B/libvenom.a
	$(CXX) $(CFLAGS) $(link) $(LDFLAGS) -o $@ $^ $(filter -l%,$(shell cat $B/peers)) -lrt -lm

demo:
	@tools/deps.sh build
	@$(MAKE) --no-print-directory -s $B/venom
	$B/venom demo

BENCH ?=
bench:
	@tools/deps.sh build bench
	@$(MAKE) --no-print-directory -s $B/venom $B/venom-bench
	$B/venom bench $(BENCH)

# The figures in README.md and tools/bench/README.md, from a run on this machine; it should have nothing else to do for ten minutes.
bench-readme:
	@tools/deps.sh build bench
	@$(MAKE) --no-print-directory -s $B/venom $B/venom-bench
	$B/venom bench --json --plot $B/plots > $B/bench.json
	sed '1s|^{|{"SPDX-License-Identifier": "MIT", |' $B/bench.json > tools/bench/results.json
	sed '1s|$$|\n<!-- SPDX-License-Identifier: MIT -->|' $B/plots/request-64.svg > tools/bench/request-64.svg
	for f in README.md tools/bench/README.md; do tools/bench/readme.sh $$f > $B/README.md && cp $B/README.md $$f || exit 1; done

check:
	@tools/deps.sh build man bench check vm vm-6.1 vm-6.12
	@selftests/run.sh

FUZZ ?=
fuzz:
	@tools/deps.sh build check
	@selftests/fuzz.sh $(FUZZ)

GUESTS ?= debug 6.1-rt
check-debug:
	@tools/deps.sh build check vm $(GUESTS:%=vm-%)
	@selftests/run.sh --vm $(GUESTS)

check-aarch64:
	@tools/deps.sh build aarch64
	@selftests/run.sh --aarch64

TIME ?= 1200
soak:
	@tools/deps.sh build check
	@$(MAKE) --no-print-directory -s $B/selftests/soak
	$B/selftests/soak --seconds $(TIME)

# MODELS, for some of them only: MODELS=ring
MODELS ?=
check-models:
	@tools/deps.sh models
	@selftests/run.sh --models $(MODELS)

vm:
	@selftests/vm.sh $(KERNEL) --shell

install: all man
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include
	install -m 755 $B/venom $(DESTDIR)$(PREFIX)/bin/
	[ ! -e $B/venom-bench ] || install -D -m 755 -t $(DESTDIR)$(PREFIX)/lib/venom $B/venom-bench
	install -m 644 libvenom/include/*.h $(DESTDIR)$(PREFIX)/include/
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include/linux kmod/uapi/linux/*.h
	install -m 755 $B/libvenom.so.$(SOVER) $(DESTDIR)$(PREFIX)/lib/
	ln -sf libvenom.so.$(SOVER) $(DESTDIR)$(PREFIX)/lib/libvenom.so
	install -m 644 $B/libvenom.a $(DESTDIR)$(PREFIX)/lib/
	install -m 644 $B/libvenom.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/
	install -D -m 644 tools/venom.bash-completion $(DESTDIR)$(PREFIX)/share/bash-completion/completions/venom
	for m in $(man); do s=$${m##*.}; install -D -m 644 $$m $(DESTDIR)$(PREFIX)/share/man/man$$s/$${m##*/} || exit 1; done

# The module's source for DKMS, and what lets the group venom use it; paths that only the system's folders have.
dkms := $(DESTDIR)/usr/src/venom-$(VERSION)
install-kmod:
	install -d $(dkms)/kmod/uapi/linux
	install -m 644 Kbuild LICENSE $(dkms)/
	install -m 644 kmod/*.[ch] $(dkms)/kmod/
	install -m 644 kmod/uapi/linux/*.h $(dkms)/kmod/uapi/linux/
	sed 's|@VERSION@|$(VERSION)|' kmod/dkms.conf.in > $(dkms)/dkms.conf
	install -D -m 644 kmod/venom.rules $(DESTDIR)/usr/lib/udev/rules.d/90-venom.rules
	install -D -m 644 kmod/venom.sysusers $(DESTDIR)/usr/lib/sysusers.d/venom.conf
	install -D -m 644 kmod/venom.modules-load $(DESTDIR)/usr/lib/modules-load.d/venom.conf

format:
	clang-format -i $$(git ls-files '*.c' ':!kmod')

clean:
	rm -rf build

help:
	@sed -n '3,/make help/s/^# \{0,1\}//p' Makefile
	@echo '  make tests      build the tests; make man, format, clean'

.PHONY: always all tests modules man docs demo bench bench-readme check check-models check-aarch64 check-debug fuzz fuzzers soak vm \
	install install-kmod format clean help
.DELETE_ON_ERROR:
.SECONDARY:

-include $(lib_obj:.o=.d) $(tool_obj:.o=.d) $(bench_obj:.o=.d) $(points_obj:.o=.d) $(test_lib:.o=.d) $(test_obj:.o=.d) \
	$(fuzzers:=.d) $(fuzz_lib:.o=.d)
