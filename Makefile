# shoal: `make run` brings up the quickstart, `make test` proves everything. `make help` lists the rest.
CC      ?= gcc
BUILD   ?= build
VERSION := 0.1.0
prefix  ?= /usr/local

PACKAGES := libuv libnl-3.0 libnl-route-3.0 yaml-0.1 libseccomp libnftnl libmnl
FAMILIES := -D_GNU_SOURCE -Iinclude -Isrc -DSHOAL_VERSION='"$(VERSION)"'
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
