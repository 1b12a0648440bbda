# SPDX-License-Identifier: GPL-2.0-or-later
# Sallyport. `make` builds build/sallyport; `make check` and `make demo` do everything else.
#   V=1      show commands        SAN=1    build with ASan and UBSan (in build/san)
#   DESTDIR, PREFIX               where install puts things

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
CPPFLAGS += -D_GNU_SOURCE -DSP_VERSION='"$(VERSION)"' -Iinclude -Ibpf -Iuserspace/lib -Iuserspace/cli -I$(O)
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

LIB_OBJ := $(patsubst userspace/lib/%.c,$(O)/lib/%.o,$(wildcard userspace/lib/*.c))
CLI_OBJ := $(patsubst userspace/cli/%.c,$(O)/cli/%.o,$(wildcard userspace/cli/*.c))
CLI_TEST_OBJ := $(filter-out $(O)/cli/main.o,$(CLI_OBJ))
UNIT := $(patsubst tests/unit/test_%.c,$(O)/unit/test_%,$(wildcard tests/unit/test_*.c))
BPF_TESTS := $(patsubst tests/bpf/test_%.c,$(O)/bpf-tests/test_%,$(wildcard tests/bpf/test_*.c))
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,$(O)/fuzz/fuzz_%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: all check check-unit check-bpf check-e2e check-vm fuzz demo bench soak install uninstall clean tests
.SECONDARY:
.DELETE_ON_ERROR:

all: $(O)/sallyport

$(O)/sallyport: $(CLI_OBJ) $(O)/libsallyport.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(CLI_LIBS) $(LIBS)

$(O)/libsallyport.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(O)/lib/%.o: userspace/lib/%.c | $(O)/lib
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(O)/cli/%.o: userspace/cli/%.c | $(O)/cli
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(O)/lib/engine.o: $(O)/sallyport.skel.h $(O)/lsm.skel.h

$(O)/%.bpf.o: bpf/%.bpf.c | $(O)
	$(call say,BPF,$<)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $@ $<

$(O)/%.skel.h: $(O)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(O) $(O)/lib $(O)/cli $(O)/unit $(O)/bpf-tests $(O)/fuzz:
	$(Q)mkdir -p $@

# ---- tests ----------------------------------------------------------------------------------------

tests: $(UNIT) $(BPF_TESTS) $(FUZZERS)

# test_launch tests the command line's own files; test_events brings policies of its own
$(O)/unit/test_launch: TEST_OBJ = $(CLI_TEST_OBJ)
$(O)/unit/test_launch: $(CLI_TEST_OBJ)
$(O)/unit/test_events: TEST_LDFLAGS = -Wl,-z,muldefs
# ASan has an allocator of its own: test_faults gets between by the linker
$(O)/unit/test_faults: TEST_LDFLAGS = $(if $(SAN),$(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc \
	reallocarray aligned_alloc strdup strndup vasprintf asprintf))
comma := ,

$(O)/unit/test_%: tests/unit/test_%.c $(O)/libsallyport.a | $(O)/unit
	$(call say,TEST,$@)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(CFLAGS) $(LDFLAGS) $(TEST_LDFLAGS) -o $@ $< $(TEST_OBJ) \
		$(O)/libsallyport.a -lcmocka $(CLI_LIBS) $(LIBS)

# test programs: the product's headers, entered by BPF_PROG_RUN
BPF_TEST_SKEL := $(patsubst tests/bpf/%.bpf.c,$(O)/%.skel.h,$(wildcard tests/bpf/*.bpf.c))

$(O)/%.bpf.o: tests/bpf/%.bpf.c | $(O)
	$(call say,BPF,$<)
	$(Q)$(CLANG) $(BPF_CFLAGS) -Itests -c -o $@ $<

$(O)/bpf-tests/test_%: tests/bpf/test_%.c $(O)/libsallyport.a $(O)/sallyport.skel.h $(BPF_TEST_SKEL) \
		| $(O)/bpf-tests
	$(call say,TEST,$@)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(CFLAGS) $(LDFLAGS) -o $@ $< $(O)/libsallyport.a -lcmocka $(LIBS)

# The fuzzers' corpus is replayed by a plain main(); `make fuzz` links libFuzzer instead.
$(O)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(O)/libsallyport.a | $(O)/fuzz
	$(call say,FUZZ,$@)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(CFLAGS) $(LDFLAGS) -o $@ tests/fuzz/fuzz_$*.c \
		tests/fuzz/replay.c $(O)/libsallyport.a $(LIBS)

fuzz: $(patsubst $(O)/fuzz/%,$(O)/libfuzzer/%,$(FUZZERS))

$(O)/libfuzzer/fuzz_%: tests/fuzz/fuzz_%.c $(O)/libsallyport.a
	$(call say,FUZZER,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS) -Itests -O1 -g -std=gnu11 -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=undefined -o $@ $< $(O)/libsallyport.a $(LIBS)

# ns per packet of the programs, and what a large policy costs; root
bench: $(O)/bench/prog_run
	$(Q)$(O)/bench/prog_run

$(O)/bench/prog_run: tests/bench/prog_run.c $(O)/libsallyport.a $(BPF_TEST_SKEL)
	$(call say,BENCH,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(CFLAGS) $(LDFLAGS) -o $@ $< $(O)/libsallyport.a $(LIBS)

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

check-vm: $(O)/sallyport $(BPF_TESTS)
	$(Q)tests/vm/run

check:
	$(Q)scripts/install-deps all
	$(Q)$(MAKE) --no-print-directory all tests
	$(Q)rm -rf build/results
	$(Q)r=0; for layer in unit bpf e2e vm; do \
		$(MAKE) --no-print-directory check-$$layer || r=1; done; \
	scripts/count-results || r=1; exit $$r

demo:
	$(Q)scripts/install-deps build test
	$(Q)$(MAKE) --no-print-directory all
	$(Q)SALLYPORT=$(CURDIR)/$(O)/sallyport scripts/demo

# ---- installation ---------------------------------------------------------------------------------

MAN := sallyport.1 sallyport-policy.5

install: all
	install -D -m 0755 $(O)/sallyport $(DESTDIR)$(PREFIX)/bin/sallyport
	install -D -m 0644 userspace/man/sallyport.1 $(DESTDIR)$(PREFIX)/share/man/man1/sallyport.1
	install -D -m 0644 userspace/man/sallyport-policy.5 $(DESTDIR)$(PREFIX)/share/man/man5/sallyport-policy.5
	install -D -m 0644 userspace/lib/policy.schema.json $(DESTDIR)$(PREFIX)/share/sallyport/policy.schema.json

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/sallyport $(DESTDIR)$(PREFIX)/share/man/man1/sallyport.1 \
		$(DESTDIR)$(PREFIX)/share/man/man5/sallyport-policy.5 \
		$(DESTDIR)$(PREFIX)/share/sallyport/policy.schema.json
	-rmdir $(DESTDIR)$(PREFIX)/share/sallyport

clean:
	rm -rf build

-include $(wildcard $(O)/*.d $(O)/*/*.d)
