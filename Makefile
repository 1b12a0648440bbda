# SPDX-License-Identifier: GPL-2.0-or-later
# Sallyport. `make help` says what there is to make.

VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' $(1) $(2))

O := build$(if $(SAN),/san)
CC ?= gcc
CLANG ?= clang
BPFTOOL ?= $(shell command -v bpftool || echo /usr/sbin/bpftool)
ARCH_INCLUDE := -I/usr/include/$(shell $(CC) -print-multiarch 2>/dev/null)

# truncation of a path is seen where it is used: the file is not there
TARGET_ARCH := $(if $(filter aarch64,$(shell uname -m)),arm64,x86)
WARN := -Wall -Wextra -Werror
GCC_WARN := -Wno-format-truncation
CPPFLAGS += -D_GNU_SOURCE -DSP_VERSION='"$(VERSION)"' -Iinclude
CFLAGS ?= -O2 -g
CFLAGS += -std=gnu11 $(WARN) $(GCC_WARN) -MMD -MP
LDFLAGS += -Wl,--as-needed
ifneq ($(SAN),)
CFLAGS += -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined
LDFLAGS += -fsanitize=address,undefined
endif
LIBS := -pthread -lbpf -lcjson -lmnl -lidn2 -lpsl -lelf -lz
CLI_LIBS := -lseccomp -lcap-ng
# clang 14 defaults to -mcpu=v2, with which these programs do not verify
BPF_CFLAGS := -O2 -g -target bpf -D__TARGET_ARCH_$(TARGET_ARCH) -mcpu=v3 $(WARN) -Wno-unused-parameter \
	-Iinclude -Ibpf $(ARCH_INCLUDE) -MMD -MP

# Rooms of user space and their walls: what a room may include besides its own headers and include/.
LIB_ROOMS := lib/ground lib/json lib/policy lib/dns lib/net lib/record lib/kernel
ROOMS := $(LIB_ROOMS) launch selftest cli
see_lib/json := lib/ground
see_lib/policy := lib/ground lib/json
see_lib/dns := lib/ground
see_lib/net := lib/ground
see_lib/record := lib/ground
see_lib/kernel := lib/ground lib/net
see_launch := lib/ground lib/kernel
see_selftest :=
see_cli := lib/ground lib/dns lib/net launch selftest
# parsers and the policy walk, compiled here too
sees_bpf := lib/policy lib/kernel
room_of = $(patsubst userspace/%/,%,$(dir $1))
walls = $(patsubst %,-Iuserspace/%,$1 $(see_$1)) $(if $(filter $1,$(sees_bpf)),-Ibpf)
# tests see everything
ALL_ROOMS := $(ROOMS:%=-Iuserspace/%) -Ibpf -I$(O)

room_obj = $(foreach room,$1,$(patsubst userspace/%.c,$(O)/%.o,$(wildcard userspace/$(room)/*.c)))
LIB_OBJ := $(call room_obj,$(LIB_ROOMS))
CLI_OBJ := $(call room_obj,launch selftest cli)
CLI_TEST_OBJ := $(filter-out $(O)/cli/main.o,$(CLI_OBJ))
UNIT := $(patsubst tests/unit/test_%.c,$(O)/unit/test_%,$(wildcard tests/unit/test_*.c))
BPF_TESTS := $(patsubst tests/bpf/test_%.c,$(O)/bpf-tests/test_%,$(wildcard tests/bpf/test_*.c))
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,$(O)/fuzz/fuzz_%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: all help check check-long check-lint check-unit check-bpf check-e2e check-clients check-bypass check-vm \
	bypass-results fuzz \
	fuzz-build fuzz-coverage fuzz-coverage-build demo bench soak install uninstall clean tests
.SECONDARY:
.DELETE_ON_ERROR:

all: $(O)/sallyport

help:
	@sed -n 's/^#: \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

#: make            build/sallyport; SAN=1: with ASan and UBSan, in build/san; V=1: show commands
#: make install    below PREFIX (/usr/local) and DESTDIR; make uninstall
#: make clean      remove build/
#:
#: As root, on any host; the Debian packages that they need are installed first:
#: make demo       the main job on real traffic in a lab of its own, a story in half a minute
#: make check      all tests, under an hour; the last line counts them
#: make check-LAYER   one layer: lint unit bpf e2e clients bypass vm (see tests/README.md)
#: make check-long    what check has no time for: guests whole, mutants, soak, fuzzing; hours
#: make bench      speed, against the same host unenforced and alternatives; QUICK=1: two minutes
#: make fuzz       every fuzzer; RUNS=10000000: executions of each
#: make soak       what is held, flat? MINUTES=30
#: make bypass-results   tests/bypass/RESULTS.md anew, here and in the guests

$(O)/sallyport: $(CLI_OBJ) $(O)/libsallyport.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(CLI_LIBS) $(LIBS)

$(O)/libsallyport.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(LIB_OBJ) $(CLI_OBJ): $(O)/%.o: userspace/%.c | $(ROOMS:%=$(O)/%)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(call walls,$(call room_of,$<)) $(room_flags) $(CFLAGS) -c -o $@ $<

# the skeletons are seen by one file
$(O)/lib/kernel/engine.o: room_flags := -I$(O)
$(O)/lib/kernel/engine.o: $(O)/sallyport.skel.h $(O)/lsm.skel.h $(O)/marks.skel.h

$(O)/%.bpf.o: bpf/%.bpf.c | $(O)
	$(call say,BPF,$<)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $@ $<

$(O)/%.skel.h: $(O)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(O) $(ROOMS:%=$(O)/%) $(O)/unit $(O)/bpf-tests $(O)/fuzz $(O)/bench:
	$(Q)mkdir -p $@

# ---- tests ----------------------------------------------------------------------------------------

tests: $(UNIT) $(BPF_TESTS) $(FUZZERS)

# test_launch tests the command line's own files; test_events brings policies of its own
$(O)/unit/test_launch: TEST_OBJ = $(CLI_TEST_OBJ)
$(O)/unit/test_launch: $(CLI_TEST_OBJ)
$(O)/unit/test_events: TEST_LDFLAGS = -Wl,-z,muldefs
# the BPF programs' source, which reads words where the verifier lets it
$(O)/unit/test_recut: TEST_LDFLAGS = -fno-strict-aliasing -fno-sanitize=alignment

# ASan has an allocator of its own: test_faults gets between by the linker
$(O)/unit/test_faults: TEST_LDFLAGS = $(if $(SAN),$(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc \
	reallocarray aligned_alloc strdup strndup vasprintf asprintf))
comma := ,

$(O)/unit/test_%: tests/unit/test_%.c $(O)/libsallyport.a | $(O)/unit
	$(call say,TEST,$@)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_ROOMS) -Itests $(CFLAGS) $(LDFLAGS) $(TEST_LDFLAGS) -o $@ $< $(TEST_OBJ) \
		$(O)/libsallyport.a -lcmocka $(CLI_LIBS) $(LIBS)

# test programs: the product's headers, entered by BPF_PROG_RUN
BPF_TEST_SKEL := $(patsubst tests/bpf/%.bpf.c,$(O)/%.skel.h,$(wildcard tests/bpf/*.bpf.c))

$(O)/%.bpf.o: tests/bpf/%.bpf.c | $(O)
	$(call say,BPF,$<)
	$(Q)$(CLANG) $(BPF_CFLAGS) -Itests -c -o $@ $<

# executed instructions depend on the compiler
$(O)/bpf-tests/test_cost: CPPFLAGS += -DSP_CLANG=$(shell $(CLANG) -dumpversion | cut -d. -f1)

$(O)/bpf-tests/test_%: tests/bpf/test_%.c $(O)/libsallyport.a $(O)/sallyport.skel.h $(O)/marks.skel.h $(BPF_TEST_SKEL) \
		| $(O)/bpf-tests
	$(call say,TEST,$@)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_ROOMS) -Itests $(CFLAGS) $(LDFLAGS) -o $@ $< $(O)/libsallyport.a -lcmocka $(LIBS)

# The fuzzers' corpus is replayed by a plain main(); `make fuzz` links libFuzzer instead.
$(O)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(O)/libsallyport.a | $(O)/fuzz
	$(call say,FUZZ,$@)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_ROOMS) -Itests $(CFLAGS) $(LDFLAGS) -o $@ tests/fuzz/fuzz_$*.c \
		tests/fuzz/replay.c $(O)/libsallyport.a $(LIBS)

# `make fuzz RUNS=10000000`: that many executions of each, with libFuzzer, ASan and UBSan
RUNS ?= 1000000
fuzz: fuzz-build
	$(Q)scripts/fuzz run $(RUNS)

fuzz-coverage: fuzz-coverage-build
	$(Q)scripts/fuzz coverage

fuzz-build: $(patsubst $(O)/fuzz/%,$(O)/libfuzzer/%,$(FUZZERS))

# The library too, so that the fuzzer sees which of its branches an input takes. Without tracing of
# comparisons, which takes half of the time: the seeds and dictionaries know the constants.
FUZZ_CFLAGS := -O2 -g -std=gnu11 -DREF_CUTS=1 -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
FUZZ_NO_CMP := -fno-sanitize-coverage=trace-cmp
FUZZ_LIB := $(patsubst $(O)/lib/%,$(O)/libfuzzer/lib/%,$(LIB_OBJ))

$(O)/libfuzzer/lib/%.o: userspace/lib/%.c $(O)/sallyport.skel.h $(O)/lsm.skel.h $(O)/marks.skel.h
	$(call say,FUZZER,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS) $(ALL_ROOMS) $(FUZZ_CFLAGS) -MMD -MP -fsanitize=fuzzer-no-link $(FUZZ_NO_CMP) -c -o $@ $<

$(O)/libfuzzer/fuzz_%: tests/fuzz/fuzz_%.c $(FUZZ_LIB)
	$(call say,FUZZER,$@)
	$(Q)$(CLANG) $(CPPFLAGS) $(ALL_ROOMS) -Itests $(FUZZ_CFLAGS) -MMD -MP -fsanitize=fuzzer $(FUZZ_NO_CMP) -o $@ $< $(FUZZ_LIB) $(LIBS)

fuzz-coverage-build: $(patsubst $(O)/fuzz/%,$(O)/coverage/%,$(FUZZERS))

$(O)/coverage/fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(wildcard $(LIB_ROOMS:%=userspace/%/*.c)) \
		$(O)/sallyport.skel.h $(O)/lsm.skel.h $(O)/marks.skel.h
	$(call say,COVER,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS) $(ALL_ROOMS) -Itests -O1 -g -std=gnu11 -fprofile-instr-generate -fcoverage-mapping \
		-o $@ $(filter %.c,$^) $(LIBS)

# tests/bench: Sallyport against the same host unenforced and against alternatives; root. QUICK=1: 2 minutes.
BENCH := $(patsubst %,$(O)/bench/%,load serve queue cidr floor boxes prog_run)

bench:
	$(Q)scripts/install-deps build test bench
	$(Q)$(MAKE) --no-print-directory all $(BENCH)
	$(Q)SALLYPORT=$(CURDIR)/$(O)/sallyport tests/bench/run $(if $(filter 1,$(QUICK)),--quick)

$(O)/%.bpf.o: tests/bench/%.bpf.c | $(O)
	$(call say,BPF,$<)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $@ $<

$(O)/bench/load: BENCH_LIBS = -lssl -lcrypto -pthread
$(O)/bench/queue: BENCH_LIBS = -lnetfilter_queue
$(O)/bench/cidr $(O)/bench/floor: BENCH_LIBS = $(LIBS)
$(O)/bench/cidr: $(O)/cidr.skel.h
$(O)/bench/floor: $(O)/floor.skel.h

$(O)/bench/boxes: BENCH_LIBS = $(O)/libsallyport.a $(LIBS)
$(O)/bench/boxes: $(O)/libsallyport.a

$(O)/bench/%: tests/bench/%.c | $(O)/bench
	$(call say,BENCH,$@)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_ROOMS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(BENCH_LIBS)

$(O)/bench/prog_run: tests/bench/prog_run.c $(O)/libsallyport.a $(BPF_TEST_SKEL) | $(O)/bench
	$(call say,BENCH,$@)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_ROOMS) -Itests $(CFLAGS) $(LDFLAGS) -o $@ $< $(O)/libsallyport.a $(LIBS)

# clang-tidy reads the generated skeletons
check-lint: $(O)/sallyport $(O)/lsm.skel.h $(O)/marks.skel.h $(O)/sallyport.skel.h $(O)/cidr.skel.h $(O)/floor.skel.h $(BPF_TEST_SKEL)
	$(Q)SP_BUILD=$(O) SALLYPORT=$(CURDIR)/$(O)/sallyport scripts/run-tests lint scripts/lint

# churn in a sandbox that lives long, and sandboxes that come and go; is what is held flat? root
MINUTES ?= 30
soak: $(O)/sallyport
	$(Q)SALLYPORT=$(CURDIR)/$(O)/sallyport tests/soak/run --minutes $(MINUTES)

check-unit: $(O)/sallyport $(UNIT) $(FUZZERS)
	$(Q)scripts/run-tests unit $(UNIT) $(FUZZERS)

check-bpf: $(O)/sallyport $(BPF_TESTS)
	$(Q)scripts/run-tests bpf $(BPF_TESTS)

check-e2e: $(O)/sallyport
	$(Q)SALLYPORT=$(CURDIR)/$(O)/sallyport scripts/run-bats e2e tests/e2e

# real programs, most of them unpacked from packages that are not installed
check-clients: $(O)/sallyport
	$(Q)scripts/install-deps clients
	$(Q)SALLYPORT=$(CURDIR)/$(O)/sallyport scripts/run-bats clients tests/clients

check-bypass: $(O)/sallyport
	$(Q)SALLYPORT=$(CURDIR)/$(O)/sallyport tests/bypass/run

check-vm: $(O)/sallyport $(BPF_TESTS)
	$(Q)tests/vm/run

# tests/bypass/RESULTS.md, from this kernel and those of the VMs; root
bypass-results: $(O)/sallyport
	$(Q)rm -f build/bypass/*.json
	$(Q)r=0; SALLYPORT=$(CURDIR)/$(O)/sallyport tests/bypass/run --no-compare || r=1; \
	SP_VM_LAYERS=bypass SP_VM_BYPASS=--no-compare tests/vm/run || r=1; \
	tests/bypass/table build/bypass/*.json && exit $$r

check:
	$(Q)scripts/install-deps all
	$(Q)$(MAKE) --no-print-directory all tests
	$(Q)rm -rf build/results
	$(Q)r=0; for layer in lint unit bpf e2e clients bypass vm; do \
		from=$$(date +%s); $(MAKE) --no-print-directory check-$$layer || r=1; mkdir -p build/results; \
		echo $$(($$(date +%s) - from)) >build/results/$$layer.seconds; done; \
	scripts/count-results || r=1; exit $$r

# by hand, before something is called done: hours
check-long:
	$(Q)scripts/install-deps all
	$(Q)$(MAKE) --no-print-directory all tests fuzz-build
	$(Q)scripts/check-long

demo:
	$(Q)scripts/install-deps build test
	$(Q)$(MAKE) --no-print-directory all
	$(Q)SALLYPORT=$(CURDIR)/$(O)/sallyport scripts/demo

# ---- installation ---------------------------------------------------------------------------------

MAN := sallyport.1 sallyport-policy.5
COMPLETION_BASH := share/bash-completion/completions/sallyport
COMPLETION_ZSH := share/zsh/site-functions/_sallyport
COMPLETION_FISH := share/fish/vendor_completions.d/sallyport.fish

install: all
	install -D -m 0755 $(O)/sallyport $(DESTDIR)$(PREFIX)/bin/sallyport
	install -D -m 0644 userspace/man/sallyport.1 $(DESTDIR)$(PREFIX)/share/man/man1/sallyport.1
	install -D -m 0644 userspace/man/sallyport-policy.5 $(DESTDIR)$(PREFIX)/share/man/man5/sallyport-policy.5
	install -D -m 0644 userspace/lib/policy/policy.schema.json $(DESTDIR)$(PREFIX)/share/sallyport/policy.schema.json
	install -D -m 0644 userspace/completion/sallyport.bash $(DESTDIR)$(PREFIX)/$(COMPLETION_BASH)
	install -D -m 0644 userspace/completion/_sallyport $(DESTDIR)$(PREFIX)/$(COMPLETION_ZSH)
	install -D -m 0644 userspace/completion/sallyport.fish $(DESTDIR)$(PREFIX)/$(COMPLETION_FISH)

uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,$(COMPLETION_BASH) $(COMPLETION_ZSH) $(COMPLETION_FISH))
	rm -f $(DESTDIR)$(PREFIX)/bin/sallyport $(DESTDIR)$(PREFIX)/share/man/man1/sallyport.1 \
		$(DESTDIR)$(PREFIX)/share/man/man5/sallyport-policy.5 \
		$(DESTDIR)$(PREFIX)/share/sallyport/policy.schema.json
	-rmdir $(DESTDIR)$(PREFIX)/share/sallyport

clean:
	rm -rf build

-include $(wildcard $(O)/*.d $(O)/*/*.d $(O)/lib/*/*.d $(O)/libfuzzer/lib/*/*.d)
