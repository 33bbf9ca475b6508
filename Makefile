# SPDX-License-Identifier: GPL-2.0
#
# bitmem: the kernel module, the library, the tool and their tests.
#
#   make            library and tools; the module too where kernel headers are
#   make demo       everything at work in a guest (or on this host's /dev/bitmem)
#   make check      every test, natively and in guests of each kernel
#   make help       the other targets

O    ?= $(CURDIR)/build
KDIR ?= /lib/modules/$(shell uname -r)/build

export O := $(abspath $(O))

.PHONY: all lib tools module tests deps demo check soak kselftest vm-shell lint \
	install clean help
.DEFAULT_GOAL := all

all: lib tools $(if $(wildcard $(KDIR)/Makefile),module)

help:
	@sed -n 's/^## //p' Makefile

## lib          build/lib/libbitmem.{a,so}
lib:
	+$(MAKE) -C libbitmem

## tools        build/bin/bitmem
tools: lib
	+$(MAKE) -C tools

## module       build/kmod/bitmem.ko for the kernel whose headers are in KDIR
module:
	+tests/vm/module-tree build/kmod/host
	+$(MAKE) -C $(KDIR) M=$(O)/kmod/host modules

clean:
	rm -rf $(O)
