# shoal: `make run` brings up the quickstart, `make test` proves everything. `make help` lists the rest.
# On the command line: BUILD=dir, SAN=address,undefined, EXTRA=-Dflags, OPTIMISE, CFLAGS, LDLIBS, prefix, DESTDIR.
.DEFAULT_GOAL := all
SHELL   := /bin/bash
CC      ?= gcc
BUILD   ?= build$(if $(SAN),-san)
VERSION := 0.1.0
prefix  ?= /usr/local

# PACKAGES is what libshoal needs; the program's own rooms need more, and load some of it at run time (src/api/mhd.h).
PACKAGES         := libuv libnl-3.0 libnl-route-3.0 yaml-0.1 libseccomp
PROGRAM_PACKAGES := $(PACKAGES) jansson ncursesw
LOADED_PACKAGES  := libmicrohttpd
FAMILIES := -D_GNU_SOURCE -Iinclude -Isrc -DSHOAL_VERSION='"$(VERSION)"' \
            -DSHOAL_INIT_IMAGE='"$(BUILD)/shoal-init"'
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings \
            -Wundef -Wformat=2 -Wvla -Wcast-qual -Wno-missing-field-initializers
OPTIMISE ?= -O2 -g
HARDEN   := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE -fvisibility=hidden
ifneq ($(SAN),)
HARDEN   := -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined -fPIE -fvisibility=hidden
LDSAN    := -fsanitize=$(SAN)
endif
# pkg-config is asked once, when the first rule needs it: `make run` may have to install it before.
PKG_CFLAGS  = $(eval PKG_CFLAGS := $(shell pkg-config --cflags $(PROGRAM_PACKAGES) $(LOADED_PACKAGES)))$(PKG_CFLAGS)
PKG_LIBS    = $(eval PKG_LIBS := $(shell pkg-config --libs $(PROGRAM_PACKAGES)))$(PKG_LIBS)
LIB_LIBS    = $(eval LIB_LIBS := $(shell pkg-config --libs $(PACKAGES)))$(LIB_LIBS)
CFLAGS_ALL  = -std=gnu17 $(OPTIMISE) $(WARNINGS) $(HARDEN) $(FAMILIES) $(EXTRA) $(PKG_CFLAGS) $(CFLAGS)
LDLIBS_ALL  = $(PKG_LIBS) -lpthread -lm $(LDLIBS)

ROOMS    := base kernel child cgroup image net container supervisor compose metrics
# Rooms of the program alone: no part of libshoal.
OWN_ROOMS := top api
LIB_SRC  := $(wildcard $(ROOMS:%=src/%/*.c))
LIB_SRC  := $(filter-out src/child/init.c,$(LIB_SRC))
OWN_SRC  := $(wildcard $(OWN_ROOMS:%=src/%/*.c))
CMD_SRC  := $(wildcard src/cmd/*.c)
LIB_OBJ  := $(LIB_SRC:%.c=$(BUILD)/%.o)
OWN_OBJ  := $(OWN_SRC:%.c=$(BUILD)/%.o)
CMD_OBJ  := $(CMD_SRC:%.c=$(BUILD)/%.o)
UNIT_SRC := $(wildcard tests/unit/*/test_*.c)
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/unit/%)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/fuzz_%.c=$(BUILD)/fuzz/fuzz_%)

.PHONY: all
all: $(BUILD)/shoal $(BUILD)/libshoal.a ## the program and the library (default)

$(BUILD)/shoal: $(CMD_OBJ) $(OWN_OBJ) $(LIB_OBJ)
	$(CC) $(LDSAN) -pie -Wl,-z,relro,-z,now -o $@ $^ $(LDLIBS_ALL)

# One object in which only the SHOAL_API names are left, so that a host program sees nothing else of ours.
$(BUILD)/libshoal.a: $(LIB_OBJ)
	$(LD) -r -o $(BUILD)/libshoal.o $^
	objcopy --localize-hidden $(BUILD)/libshoal.o
	rm -f $@ && $(AR) rcs $@ $(BUILD)/libshoal.o

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# The init of `init: true`: a program without a C library, carried inside the others as bytes (child/init_image.c).
$(BUILD)/shoal-init: src/child/init.c src/child/report.h
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -Os $(WARNINGS) -Isrc -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables -fno-pie \
	  -static -nostdlib -nostartfiles -s -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,norelro -Wl,-z,noseparate-code -o $@ $<

$(BUILD)/src/child/init_image.o: $(BUILD)/shoal-init

# The child runs on a stack of its own in its parent's memory: nothing may be put between its system calls.
$(BUILD)/src/child/walk.o: HARDEN := -ffreestanding -fno-stack-protector -fPIE -fvisibility=hidden

# Unit tests link the rooms' objects, so that they reach hidden names too.
$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(OWN_OBJ) $(LIB_OBJ)
	@mkdir -p $(@D)
	$(CC) $(LDSAN) -pie -o $@ $^ -lcmocka $(LDLIBS_ALL)

# libFuzzer needs clang throughout: objects of its own.
FUZZ_FLAGS = -std=gnu17 -g -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined \
             $(FAMILIES) $(EXTRA) $(PKG_CFLAGS)
FUZZ_OBJ   = $(OWN_SRC:%.c=$(BUILD)/fuzz/%.o) $(LIB_SRC:%.c=$(BUILD)/fuzz/%.o)

$(BUILD)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	clang $(FUZZ_FLAGS) $(FUZZ_FLAGS_OF) -MMD -MP -c -o $@ $<

$(BUILD)/fuzz/src/child/walk.o: FUZZ_FLAGS_OF := -fno-sanitize=all
$(BUILD)/fuzz/src/child/init_image.o: $(BUILD)/shoal-init

$(BUILD)/fuzz/fuzz_%: $(BUILD)/fuzz/tests/fuzz/fuzz_%.o $(FUZZ_OBJ)
	clang -fsanitize=fuzzer,address,undefined -o $@ $^ $(LDLIBS_ALL)

# What examples/embed proves: a program needs include/, libshoal.a and the libraries, nothing of src/.
EMBED_BIN := $(patsubst examples/embed/%.c,$(BUILD)/embed/%,$(wildcard examples/embed/*.c))
$(BUILD)/embed/%: examples/embed/%.c $(BUILD)/libshoal.a
	@mkdir -p $(@D)
	$(CC) -std=gnu17 $(OPTIMISE) $(WARNINGS) $(HARDEN) $(LDSAN) -Iinclude $(PKG_CFLAGS) $(CFLAGS) -MMD -MP -o $@ $^ $(LIB_LIBS) -lpthread -lm $(LDLIBS)

# Programs that the integration tests drive libshoal with, built as a host program is.
TEST_BIN := $(patsubst tests/integration/%.c,$(BUILD)/tests/%,$(wildcard tests/integration/*.c))
$(BUILD)/tests/%: tests/integration/%.c $(BUILD)/libshoal.a
	@mkdir -p $(@D)
	$(CC) -std=gnu17 $(OPTIMISE) $(WARNINGS) $(HARDEN) $(LDSAN) -D_GNU_SOURCE -Iinclude $(PKG_CFLAGS) $(CFLAGS) -MMD -MP -o $@ $^ $(LIB_LIBS) -lpthread -lm $(LDLIBS)

BENCH_BIN := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
# Like the child of a start, the floor's child shares its parent's memory: nothing may be put between its system calls.
$(BUILD)/tests/bench/floor.o: HARDEN := -fno-stack-protector -fPIE -fvisibility=hidden

# It runs in the root file system of every contender, where there is no library.
$(BUILD)/bench/marker: tests/bench/marker.c src/kernel/raw.h
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -Os $(WARNINGS) -Isrc -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables -fno-pie \
	  -static -nostdlib -nostartfiles -s -Wl,--build-id=none -o $@ $<
$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(LIB_OBJ)
	@mkdir -p $(@D)
	$(CC) $(LDSAN) -pie -o $@ $^ $(LDLIBS_ALL)

# Objects made with other flags (SAN, EXTRA, CC) are made again.
FLAGS = $(CC) $(OPTIMISE) $(WARNINGS) $(HARDEN) $(FAMILIES) $(EXTRA) $(CFLAGS)
$(BUILD)/flags: always
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(FLAGS))' >$@
TEST_OBJ := $(UNIT_SRC:%.c=$(BUILD)/%.o) $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/bench/*.c))
$(LIB_OBJ) $(OWN_OBJ) $(CMD_OBJ) $(TEST_OBJ): $(BUILD)/flags

-include $(LIB_OBJ:.o=.d) $(OWN_OBJ:.o=.d) $(CMD_OBJ:.o=.d) $(TEST_OBJ:.o=.d) $(FUZZ_OBJ:.o=.d) \
         $(FUZZ_SRC:%.c=$(BUILD)/fuzz/%.d) $(EMBED_BIN:=.d) $(TEST_BIN:=.d)

.PHONY: always
.SECONDARY:
.DELETE_ON_ERROR:

# ---- what people type

JOBS     = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
SUBMAKE  = $(MAKE) --no-print-directory $(JOBS)
PYTHON   = /usr/bin/python3
FUZZ_SECONDS ?= 10
BENCH_ARGS   ?=

.PHONY: help run test unit faults check check-integration check-vm check-san bench bench-programs test-programs fuzz examples
help: ## this list
	@awk -F ':.*## ' '/^[a-z][^:]*:.*## / { printf "make %-18s %s\n", $$1, $$2 }' Makefile
	@echo 'Variables: BUILD=$(BUILD) SAN= EXTRA= prefix=$(prefix) DESTDIR= FUZZ_SECONDS=$(FUZZ_SECONDS)'

run: ## install what is missing, build, bring up the quickstart fleet (root)
	@[ "$$(id -u)" = 0 ] || { echo 'make run: sandboxes need root (namespaces, mounts, links): sudo make run' >&2; exit 1; }
	@deps/install --build
	@$(SUBMAKE) all
	exec $(BUILD)/shoal up -f examples/quickstart/compose.yaml

test: ## install what is missing, build, prove everything; ends with "N passed, N failed, N skipped" (root)
	@[ "$$(id -u)" = 0 ] || { echo 'make test: sandboxes and the guest need root: sudo make test' >&2; exit 1; }
	@deps/install --test
	@$(SUBMAKE) all unit examples faults bench-programs test-programs
	@$(PYTHON) tests/run --build $(BUILD)

unit: $(UNIT_BIN)
examples: $(EMBED_BIN) ## the programs of examples/embed

# The program with fault injection: every step of a start can be made to fail.
faults:
	@$(SUBMAKE) BUILD=$(BUILD)-faults EXTRA='$(EXTRA) -DSHOAL_FAULTS' all

check: unit ## unit tests alone
	@$(PYTHON) tests/run --build $(BUILD) --only unit

check-integration: all faults bench-programs test-programs ## the real program, on this machine (root)
	@$(PYTHON) tests/run --build $(BUILD) --only integration

check-vm: all unit faults bench-programs test-programs ## what needs every cgroup controller, in the guest (root)
	@$(PYTHON) tests/run --build $(BUILD) --only vm

check-san: ## unit and integration tests under ASan, UBSan and LSan (root)
	@$(SUBMAKE) BUILD=build-san SAN=address,undefined OPTIMISE='-O1 -g' all unit faults bench-programs test-programs
	@$(PYTHON) tests/run --build build-san --only unit,integration

bench-programs: $(BENCH_BIN)
test-programs: $(TEST_BIN)
bench: ## install the peers, build, measure and compare; BENCH_ARGS='--help' (root)
	@deps/install --bench
	@$(SUBMAKE) all bench-programs
	@BUILD=$(BUILD) $(PYTHON) tests/bench/run $(BENCH_ARGS)

# Each target with a copy of its corpus, so that the corpus in git grows by hand alone. What it finds stays in build/fuzz.
FUZZ_RUNS := $(FUZZ_SRC:tests/fuzz/fuzz_%.c=fuzz-%)
.PHONY: $(FUZZ_RUNS)
fuzz: $(FUZZ_RUNS) ## every fuzz target for FUZZ_SECONDS (10); fuzz-NAME for one
$(FUZZ_RUNS): fuzz-%: $(BUILD)/fuzz/fuzz_%
	@corpus=$$(mktemp -d) && trap 'rm -rf "$$corpus"' EXIT && \
	 { [ ! -d tests/fuzz/corpus/$* ] || cp -r tests/fuzz/corpus/$*/. "$$corpus"; } && echo "fuzz $*: $(FUZZ_SECONDS) s" && \
	 { $< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -artifact_prefix=$(BUILD)/fuzz/$*- "$$corpus" \
	   >$(BUILD)/fuzz/$*.log 2>&1 || { tail -n 60 $(BUILD)/fuzz/$*.log; exit 1; }; } && tail -n 1 $(BUILD)/fuzz/$*.log

# ---- looking at the code

SHELL_SCRIPTS := deps/install deps/kernel deps/crun tests/vm/run tests/arrows tests/symbols .ci/run
C_FILES       := $(wildcard src/*/*.[ch] include/*.h include/shoal/*.h tests/unit/*/*.[ch] tests/integration/*.c tests/fuzz/*.c tests/bench/*.c examples/embed/*.c)

.PHONY: arrows symbols tidy clang-tidy cppcheck shellcheck format check-format
arrows: ## who includes whom, room by room; fails on an arrow that runs upward
	@tests/arrows

# plan.c and init_image.c are the parent's side of a start; init.c is a program of its own.
symbols: $(filter-out %/plan.o %/init_image.o,$(filter $(BUILD)/src/child/%,$(LIB_OBJ))) ## what child/ calls: only what is safe behind clone3
	@tests/symbols $^

tidy: clang-tidy cppcheck shellcheck ## clang-tidy, cppcheck, shellcheck with the lists agreed on

TIDY_RUNS := $(addprefix tidy/,$(LIB_SRC) $(OWN_SRC) $(CMD_SRC))
.PHONY: $(TIDY_RUNS)
clang-tidy: $(TIDY_RUNS)
$(TIDY_RUNS): tidy/%:
	@clang-tidy --quiet --warnings-as-errors='*' $* -- -std=gnu17 $(FAMILIES) $(PKG_CFLAGS) 2> >(grep -v 'warnings\? generated' >&2)

cppcheck:
	@cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	  --suppressions-list=conf/cppcheck-suppressions -Iinclude -Isrc -D__linux__ -D__x86_64__ -D_GNU_SOURCE -DSHOAL_VERSION='""' \
	  $(wildcard $(ROOMS:%=src/%) $(OWN_ROOMS:%=src/%) src/cmd)

shellcheck:
	@shellcheck $(wildcard $(SHELL_SCRIPTS))

format: ## clang-format, in place
	@clang-format -i $(C_FILES)

check-format: ## says what `make format` would change
	@clang-format --dry-run -Werror $(C_FILES)

# ---- manual pages: docs/*.scd by hand; the one of the fleet file is written by the program's own key tables

MANUAL  := $(if $(wildcard docs/manual.c),$(BUILD)/shoal-manual)
MAN_SCD := $(wildcard docs/*.[1-8].scd) $(if $(MANUAL),$(BUILD)/docs/shoal-compose.5.scd)
MAN     := $(addprefix $(BUILD)/man/,$(notdir $(MAN_SCD:.scd=)))

$(BUILD)/shoal-manual: $(BUILD)/docs/manual.o $(LIB_OBJ)
	$(CC) $(LDSAN) -pie -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/docs/shoal-compose.5.scd: $(BUILD)/shoal-manual
	$< >$@
$(BUILD)/man/%: docs/%.scd
	@mkdir -p $(@D)
	scdoc <$< >$@
$(BUILD)/man/%: $(BUILD)/docs/%.scd
	@mkdir -p $(@D)
	scdoc <$< >$@

.PHONY: docs
docs: $(BUILD)/shoal-manual ## docs/compose.md and conf/x-shoal.schema.json, from the key tables
	$< --markdown >docs/compose.md
	$< --schema >conf/x-shoal.schema.json

.PHONY: man install uninstall clean dist
man: $(MAN) ## the manual pages, with scdoc

# ---- installation

HAVE_SCDOC = $(shell command -v scdoc)
INSTALLED  = bin/shoal lib/libshoal.a include/shoal.h include/shoal lib/pkgconfig/shoal.pc share/doc/shoal \
             $(foreach page,$(notdir $(MAN)),share/man/man$(subst .,,$(suffix $(page)))/$(page))

install: all $(if $(HAVE_SCDOC),$(MAN)) ## bin, lib, include, pkg-config, manual pages, examples; prefix= DESTDIR=
	install -d $(DESTDIR)$(prefix)/{bin,lib/pkgconfig,include/shoal,share/doc/shoal/examples}
	install -m 755 $(BUILD)/shoal $(DESTDIR)$(prefix)/bin/shoal
	install -m 644 $(BUILD)/libshoal.a $(DESTDIR)$(prefix)/lib/libshoal.a
	install -m 644 include/shoal.h $(DESTDIR)$(prefix)/include/shoal.h
	install -m 644 include/shoal/*.h $(DESTDIR)$(prefix)/include/shoal/
	sed 's,@prefix@,$(prefix),g; s,@version@,$(VERSION),g; s,@packages@,$(PACKAGES),g' conf/shoal.pc.in \
	  >$(DESTDIR)$(prefix)/lib/pkgconfig/shoal.pc
	install -m 644 README.md LICENSE docs/ARCHITECTURE.md docs/SANDBOX.md docs/PERFORMANCE.md docs/compose.md $(DESTDIR)$(prefix)/share/doc/shoal/
	install -m 644 conf/grafana-dashboard.json conf/x-shoal.schema.json $(DESTDIR)$(prefix)/share/doc/shoal/
	cp -r examples/. $(DESTDIR)$(prefix)/share/doc/shoal/examples/
	sed 's,@prefix@,$(prefix),g' conf/shoal.service >$(DESTDIR)$(prefix)/share/doc/shoal/shoal.service
ifneq ($(HAVE_SCDOC),)
	for page in $(MAN); do install -D -m 644 $$page $(DESTDIR)$(prefix)/share/man/man$${page##*.}/$${page##*/} || exit 1; done
else
	@echo 'make install: no scdoc here, so no manual pages: deps/install --docs'
endif

uninstall: ## removes what install put there
	rm -rf $(addprefix $(DESTDIR)$(prefix)/,$(INSTALLED))

clean: ## the build trees; the guest's kernel and disks in build/vm stay
	@for tree in build build-*; do [ -d $$tree ] || continue; find $$tree -mindepth 1 -maxdepth 1 ! -name vm -exec rm -rf {} + ; rmdir --ignore-fail-on-non-empty $$tree; done

dist: ## build/shoal-VERSION.tar.gz of what is committed
	@mkdir -p $(BUILD)
	git archive --prefix=shoal-$(VERSION)/ -o $(BUILD)/shoal-$(VERSION).tar.gz HEAD
