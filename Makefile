# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A short door to meson. "make" builds into build/, "make demo" shows it, "make check" tests it.
BUILD ?= build
MESON ?= meson

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet

$(BUILD)/build.ninja:
	@$(MESON) setup $(BUILD) >/dev/null

demo:
	@tools/demo

check:
	@command -v python3 >/dev/null || tools/setup
	@tools/check

# Builds with a sanitizer, each in its own directory, left there for a debugger.
asan:
	@tools/check --only asan

tsan:
	@tools/check --only tsan

# Everything that has seeds, with fresh ones: make soak T=30m, or T="10m sim model".
T ?= 30m
soak:
	@tools/soak $(T)

# Seeded bugs against the tests, 12 minutes; prints who catches which.
mutants:
	@tools/mutants

# Branches of core/ and mmu/ that no test of theirs takes; build-coverage/report/index.html.
coverage:
	@tools/coverage --html

# What the hot paths execute now is what they may execute from now on (tests/perf).
baseline: all
	@ninja -C $(BUILD) --quiet tests/perf/perf-hot tests/perf/perf-hot-shim
	@tools/perf-baseline --write $(BUILD)

# Some minutes, best on a machine that does nothing else. "make performance" puts it into docs/performance.md.
# BENCH is what else gmem bench is told: make bench BENCH="--seconds 0.1 file".
bench: all
	@GMEM_SELFTESTS=$$(tools/fetch-selftests --built 2>/dev/null) \
		$(BUILD)/gmem bench --save $(BUILD)/bench $(BENCH)

performance: bench
	@tools/performance --write $(BUILD)/bench

# The sources of the last commit as a tarball, the same bytes each time; Debian packages of it, built as this machine
# is; built, judged, installed, used and removed in fresh Debians (minutes, root, and a Debian mirror).
dist:
	@BUILD=$(BUILD) tools/dist

package:
	@BUILD=$(BUILD) tools/package

package-check:
	@BUILD=$(BUILD) tools/package-check

# What programs that are linked with the library rely on, from now on (tests/packaging).
abi: all
	@tools/abi --write $(BUILD)/libgmem.so

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: all
	@$(MESON) install -C $(BUILD)

clean:
	rm -rf $(BUILD) build-asan build-tsan build-clang build-fuzz build-coverage build-mutants

.PHONY: abi all demo check dist package package-check soak mutants coverage asan tsan baseline bench performance format install clean
