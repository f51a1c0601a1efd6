# shoal: `make run` brings up the quickstart, `make test` proves everything. `make help` lists the rest.
CC      ?= gcc
BUILD   ?= build
VERSION := 0.1.0
prefix  ?= /usr/local

PACKAGES := libuv libnl-3.0 libnl-route-3.0 yaml-0.1 libseccomp libnftnl libmnl
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
CFLAGS_ALL  = -std=gnu17 $(OPTIMISE) $(WARNINGS) $(HARDEN) $(FAMILIES) $(EXTRA) $(shell pkg-config --cflags $(PACKAGES)) $(CFLAGS)
LDLIBS_ALL  = $(shell pkg-config --libs $(PACKAGES)) -lpthread -lm $(LDLIBS)

ROOMS    := base kernel child cgroup image net container supervisor compose metrics
LIB_SRC  := $(wildcard $(ROOMS:%=src/%/*.c))
LIB_SRC  := $(filter-out src/child/init.c,$(LIB_SRC))
CMD_SRC  := $(wildcard src/cmd/*.c)
LIB_OBJ  := $(LIB_SRC:%.c=$(BUILD)/%.o)
CMD_OBJ  := $(CMD_SRC:%.c=$(BUILD)/%.o)
UNIT_SRC := $(wildcard tests/unit/*/test_*.c)
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/unit/%)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/fuzz_%.c=$(BUILD)/fuzz/fuzz_%)

.PHONY: all
all: $(BUILD)/shoal $(BUILD)/libshoal.a

$(BUILD)/shoal: $(CMD_OBJ) $(LIB_OBJ)
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
$(BUILD)/shoal-init: src/child/init.c src/child/init_report.h
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -Os $(WARNINGS) -Isrc -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables -fno-pie \
	  -static -nostdlib -nostartfiles -s -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,norelro -Wl,-z,noseparate-code -o $@ $<

$(BUILD)/src/child/init_image.o: $(BUILD)/shoal-init

# Unit tests link the rooms' objects, so that they reach hidden names too.
$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(LIB_OBJ)
	@mkdir -p $(@D)
	$(CC) $(LDSAN) -pie -o $@ $^ -lcmocka $(LDLIBS_ALL)

# libFuzzer needs clang throughout: a build tree of its own.
$(BUILD)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(LIB_SRC) $(BUILD)/shoal-init
	@mkdir -p $(@D)
	clang -std=gnu17 -g -O1 -fsanitize=fuzzer,address,undefined $(FAMILIES) $(shell pkg-config --cflags $(PACKAGES)) \
	  -o $@ $< $(LIB_SRC) $(LDLIBS_ALL)

-include $(LIB_OBJ:.o=.d) $(CMD_OBJ:.o=.d) $(UNIT_SRC:%.c=$(BUILD)/%.d)
