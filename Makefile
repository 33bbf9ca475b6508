# SPDX-License-Identifier: GPL-2.0
#
# bitmem: the kernel module, the library, the tool and their tests. `make help`
# lists the targets.

O    ?= build
KDIR ?= /lib/modules/$(shell uname -r)/build

override O := $(abspath $(O))
export O

# For what is long: every processor, unless whoever calls make has said how many.
JOBS = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

# Debian packages, for what the build needs and for what the tests and guests need.
DEPS_BUILD := build-essential pkg-config liburing-dev libcairo2-dev libjansson-dev \
	libncurses-dev libnl-3-dev libnl-genl-3-dev libssl-dev libtraceevent-dev \
	libtracefs-dev python3 scdoc
DEPS_TEST  := apt bash-completion bc binutils bison ca-certificates ccache coccinelle cpio \
	debian-archive-keyring dkms doxygen e2fsprogs fakeroot fio flex g++ gcc-12 \
	gcc-12-aarch64-linux-gnu gcovr git ibverbs-providers iproute2 kmod libc6-dev-arm64-cross \
	libelf-dev libibverbs-dev lintian linux-headers-amd64 make mandoc mmdebstrap mypy \
	perftest perl python3-jsonschema python3-numpy python3-yaml qemu-system-arm \
	qemu-system-x86 rsync shellcheck sparse stress-ng util-linux xz-utils zstd
DEPS_BENCH := libjemalloc2 libmimalloc2.0 libtcmalloc-minimal4 valgrind
DEPS_DEB   := debhelper dh-dkms dh-python dpkg-dev

.PHONY: all lib tools python system module docs tests native-tests deps demo check coverage \
	soak bench-alloc bench-device kselftest vm-shell install deb clean help
.DEFAULT_GOAL := all

all: lib tools python system $(if $(wildcard $(KDIR)/Makefile),module)

## all          (default) lib, tools, python, system; module too where KDIR has kernel headers
help:
	@sed -n 's/^## /  /p' Makefile

## lib          build/lib/libbitmem.a and .so
lib:
	+@$(MAKE) --no-print-directory -C libbitmem

## tools        build/bin/bitmem
tools: lib
	+@$(MAKE) --no-print-directory -C tools

## python       build/python/bitmem: the Python package
python:
	+@$(MAKE) --no-print-directory -C python

## system       build/system: services, for what make install makes of a host
system:
	+@$(MAKE) --no-print-directory -C system

## docs         build/docs/html: the library's interface, from its headers
docs:
	@mkdir -p $(O)/docs
	@VERSION=$$(sed -n 's/^VERSION *:= *//p' libbitmem/Makefile) doxygen docs/Doxyfile

## module       build/kmod/host/bitmem.ko for the kernel of KDIR=
module:
	@mkdir -p $(O)/kmod/host
	@cp -ru Kbuild kmod include $(O)/kmod/host/
	+$(MAKE) -C $(KDIR) M=$(O)/kmod/host modules

## tests        the test programs, in build/tests
tests: native-tests
	+@$(MAKE) --no-print-directory -C tests/kselftest
	+@$(MAKE) --no-print-directory -C tests/demo

native-tests: lib tools
	+@$(MAKE) --no-print-directory -C tests/lib
	+@$(MAKE) --no-print-directory -C tests/tools
	+$(if $(SAN),,@$(MAKE) --no-print-directory -C tests/preload)

## deps         install what all of this needs (Debian packages, as root or by sudo)
deps:
	@tests/deps $(DEPS_BUILD) $(DEPS_TEST) $(DEPS_BENCH) $(DEPS_DEB)

## demo         a model goes into pinned memory and out of a killed process, in a guest
##              or on this host's /dev/bitmem (MODEL=file, K=6.1|6.12|newest)
demo: deps
	+@$(MAKE) --no-print-directory lib tools
	+@$(MAKE) --no-print-directory -C tests/demo
	@tests/demo/run

## check        every test: natively, with sanitizers, in guests of three kernels, and of
##              one built to catch mistakes, which takes a while the first time
check: deps
	@tests/vm/kernel fetch 6.1 6.12 newest
	@rm -rf $(O)/tests $(O)/asan/tests $(O)/tsan/tests
	+@$(MAKE) $(JOBS) --no-print-directory tests
	+@$(MAKE) $(JOBS) --no-print-directory native-tests O=$(O)/asan SAN=1
	+@$(MAKE) $(JOBS) --no-print-directory -C libbitmem O=$(O)/tsan SAN=thread
	+@$(MAKE) $(JOBS) --no-print-directory -C tests/lib O=$(O)/tsan SAN=thread
	+@$(MAKE) $(JOBS) --no-print-directory -C tests/bench
	@tests/check

## coverage     how much of the module and of the library the tests reach, in lines;
##              build/coverage/index.html, build/coverage-lib/index.html
coverage: deps
	@tests/vm/kernel fetch 6.1 6.12
	+@$(MAKE) $(JOBS) --no-print-directory tests
	@tests/coverage/run
	@tests/coverage/lib

## soak         the long form of the tests that repeat something at random
soak: deps
	+@$(MAKE) $(JOBS) --no-print-directory tests
	@tests/check --soak

## bench-alloc  the allocator beside glibc, tcmalloc, mimalloc and jemalloc: a table, and
##              build/bench/alloc.json (BENCH_SECONDS=180, BENCH_ARGS=; docs/bench.md)
bench-alloc: deps lib
	+@$(MAKE) $(JOBS) --no-print-directory -C tests/bench
	@mkdir -p $(O)/bench
	@$(O)/tests/bench/bench-alloc --json $(O)/bench/alloc.json \
		$(if $(BENCH_SECONDS),--seconds $(BENCH_SECONDS)) $(BENCH_ARGS)

## bench-device what is held on /dev/bitmem, in a guest: the benchmark's part about memory,
##              as a table, and build/bench/device.json (K=6.1|6.12|newest, MB=128)
bench-device: deps
	@tests/vm/kernel fetch $(or $(K),6.1)
	+@$(MAKE) $(JOBS) --no-print-directory all
	+@$(MAKE) $(JOBS) --no-print-directory -C tests/bench
	@tests/bench/device $(BENCH_ARGS)

## kselftest    the device's tests on this host's own module
kselftest:
	+@$(MAKE) --no-print-directory -C tests/kselftest
	+@$(MAKE) --no-print-directory -C tests/kselftest run_tests

## vm-shell     an interactive guest with the module loaded (K=6.1|6.12|newest)
vm-shell: deps
	+@$(MAKE) --no-print-directory lib tools
	@tests/vm/shell -k $(or $(K),6.1)

## install      library, headers, tool, Python package, services, the device's rules and the
##              module's sources for dkms (DESTDIR=, PREFIX=/usr/local, SYSCONFDIR=/etc)
install: lib tools python system
	+@$(MAKE) --no-print-directory -C libbitmem install
	+@$(MAKE) --no-print-directory -C tools install
	+@$(MAKE) --no-print-directory -C python install
	+@$(MAKE) --no-print-directory -C system install

## deb          Debian packages, in build/deb, which apt can take for a repository
deb:
	@tests/deps $(DEPS_BUILD) $(DEPS_DEB)
	@system/deb

## clean        remove the build directory
clean:
	rm -rf $(O)
