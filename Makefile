# reel: a short front for CMake; `make help` lists what it does.
BUILD   ?= build
JOBS    ?= $(shell nproc)
FUZZ_S  ?= 5
SOAK_N  ?= 20
# Continuous integration and `make check` make warnings errors, and a build directory stays so; a user's
# newer compiler may warn and still build.
WERROR  ?= $(if $(CI),-DREEL_WERROR=ON)
CTEST   := ctest --output-on-failure -j $(JOBS)
NINJA    = cmake --build $(1) -j $(JOBS)

MOST    ?= avx512_bf16

.PHONY: all deps demo test lesser check check-deps bench soak asan tsan fuzz arm64 test-mutants install format clean help

all: deps ## build the library, the program (build/reel) and the tests (build/tests/)
	@mkdir -p $(BUILD)
	@cmake --preset release -B $(BUILD) $(WERROR) >$(BUILD)/configure.log 2>&1 || { cat $(BUILD)/configure.log; exit 1; }
	@$(call NINJA,$(BUILD))

deps:
	@scripts/install-deps.sh build

DEMO_PROMPT ?= a red ball bounces on green grass at sunset
demo: all ## make demo.mp4 from a prompt with the model that ships, and its contact sheet demo.png
	@rm -f demo.mp4 demo.png
	@$(BUILD)/reel generate --model models/pocket -p "$(DEMO_PROMPT)" --seed 1 -o demo.mp4
	@$(BUILD)/reel sheet demo.mp4 -o demo.png --columns 9
	@$(BUILD)/reel info demo.mp4
	@echo "demo: '$(DEMO_PROMPT)' is demo.mp4; its frames side by side are demo.png"

test: all ## build, then run every test
	@$(CTEST) --test-dir $(BUILD)

lesser: deps ## the tests as a lesser machine runs them: MOST=portable, avx2, avx512 or avx512_bf16
	@cmake --preset release -B build-$(MOST) -DREEL_MOST_ISA=$(MOST) >/dev/null
	@$(call NINJA,build-$(MOST))
	@$(CTEST) --test-dir build-$(MOST)

check: WERROR := -DREEL_WERROR=ON
check: check-deps all ## formatting, layers, headers alone, lengths, gcc and clang warnings, linters
	@scripts/check-format
	@scripts/check-layers --self-test
	@scripts/check-layers src
	@scripts/check-tree
	@scripts/check-lengths
	@scripts/check-headers
	@scripts/check-globals $(BUILD)
	@tests/mutants/run --match
	@scripts/check-clang $(BUILD)
	@scripts/check-lint $(BUILD)
	@echo "check: ok"

check-deps:
	@scripts/install-deps.sh check

bench: all ## measure the machine and every kernel against its ceiling
	@$(BUILD)/bench $(BENCH_ARGS)

soak: all check-deps ## the suite again and again in random order, then each fuzz target for a minute
	@ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS) --schedule-random --repeat until-fail:$(SOAK_N)
	@$(MAKE) --no-print-directory fuzz FUZZ_S=60

asan: check-deps ## the whole suite under AddressSanitizer and UndefinedBehaviorSanitizer
	@cmake --preset asan >/dev/null
	@$(call NINJA,build-asan)
	@$(CTEST) --test-dir build-asan

tsan: check-deps ## what runs on several threads under ThreadSanitizer
	@cmake --preset tsan >/dev/null
	@$(call NINJA,build-tsan)
	@$(CTEST) --test-dir build-tsan

fuzz: check-deps ## every fuzz target for FUZZ_S seconds (5), seeded
	@cmake --preset fuzz >/dev/null
	@$(call NINJA,build-fuzz)
	@scripts/run-fuzz build-fuzz $(FUZZ_S)

arm64: check-deps ## cross-build the portable fallback for 64-bit ARM and run its tests under qemu
	@scripts/arm64-sysroot build-arm64/sysroot
	@cmake --preset arm64 >/dev/null
	@$(call NINJA,build-arm64)
	@$(CTEST) --test-dir build-arm64

test-mutants: all check-deps ## break known lines one by one; the tests must notice
	@tests/mutants/run $(MUTANT_ARGS)

install: all ## install below PREFIX (/usr/local)
	@cmake --install $(BUILD) $(if $(PREFIX),--prefix $(PREFIX))

format: check-deps ## apply clang-format to every C file
	@git ls-files -z --cached --others --exclude-standard '*.c' '*.cc' '*.h' | xargs -0 clang-format -i

clean: ## remove what was built
	@rm -rf build build-debug build-asan build-tsan build-fuzz build-arm64 build-mutants build-portable build-avx2 build-avx512 build-avx512_bf16

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
