# The two commands of a newcomer are `make run` and `make test`; each sets up what it needs in .venv first.

PYTHON ?= python3
MODEL ?= nano
VENV := .venv
BIN := $(VENV)/bin
NATIVE := CMakeLists.txt $(shell find native -type f 2>/dev/null)

.PHONY: run test test-native test-sanitized test-aarch64 test-aarch64-python aarch64 aarch64-programs test-clients \
	lint format bench develop native wheel clean

# Answers PROMPT="..." and ends; without a prompt, opens a chat.
run: $(VENV)/installed
ifdef PROMPT
	@$(BIN)/ossia run $(MODEL) -- "$$PROMPT" < /dev/null
else
	@$(BIN)/ossia run $(MODEL)
endif

test: $(VENV)/developed
	$(BIN)/python -m pytest

# The native library's own tests, as it computes on AMD's processors and on others.
test-native: $(BIN)/ninja
	$(call configured,native,-DCMAKE_BUILD_TYPE=Release)
	$(BIN)/cmake --build build/native --target native_tests
	$(call both,build/native)

# The same once for addresses and undefined behaviour, once for data races.
test-sanitized: $(BIN)/ninja
	$(call sanitized,address$(comma)undefined,address)
	$(call sanitized,thread,thread)

# The native library's tests for AArch64 on any machine: cross-compiled, and run by qemu as on a processor without dot
# products of bytes and as on one that has them.
test-aarch64: aarch64
	$(call emulated,cortex-a53,neon)
	$(call emulated,cortex-a76,dotprod)

# The conformance suite and the other Python tests of the native backend in the same way (Debian alone; slow).
test-aarch64-python: aarch64
	.ci/aarch64-python build/aarch64

aarch64: aarch64-programs $(BIN)/ninja
	$(call configured,aarch64,-DCMAKE_TOOLCHAIN_FILE=native/aarch64-linux-gnu.cmake)
	$(BIN)/cmake --build build/aarch64 --parallel 2

AARCH64_PROGRAMS := aarch64-linux-gnu-g++ qemu-aarch64
aarch64-programs:
	@for program in $(AARCH64_PROGRAMS); do command -v $$program > /dev/null || { \
		echo "make test-aarch64 needs $(AARCH64_PROGRAMS), and there is no $$program on the PATH;" \
			"on Debian and Ubuntu: apt-get install g++-aarch64-linux-gnu qemu-user" >&2; exit 1; }; done

# What talks to a server, the large ones among them: Codex needs npm and takes 400 MB, litellm 340.
test-clients: $(VENV)/developed
	$(PYTHON) -m venv build/clients/litellm
	build/clients/litellm/bin/pip install --quiet --disable-pip-version-check litellm==1.106.2
	npm install --silent --no-fund --no-audit --prefix build/clients @openai/codex@0.169.0
	$(BIN)/python -m pytest tests/clients

lint: $(VENV)/developed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	find native -name '*.cc' -o -name '*.h' | xargs $(BIN)/clang-format --dry-run -Werror
	$(BIN)/codespell

format: $(VENV)/developed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	find native -name '*.cc' -o -name '*.h' | xargs $(BIN)/clang-format -i

bench: $(VENV)/developed
	$(BIN)/python bench/decode.py $(MODEL)
	$(BIN)/python bench/prefill.py $(MODEL)

# All that a developer needs; Python files are used where they lie, the library is in src/ossia.
develop: $(VENV)/developed

# Only the library, rebuilt where it changed: after an edit under native/.
native: $(BIN)/ninja
	$(call configured,native,-DCMAKE_BUILD_TYPE=Release)
	$(BIN)/cmake --build build/native --target ossia_native

wheel: $(VENV)/bin/python
	$(BIN)/pip wheel --no-deps --wheel-dir dist .

clean:
	rm -rf build dist $(VENV) src/ossia/libossia.*

# What builds the library, without all that a developer needs, which would build it first.
$(BIN)/ninja: | $(VENV)/bin/python
	@$(BIN)/pip install --quiet --disable-pip-version-check 'cmake>=3.20' 'ninja>=1.11'

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		f"$(PYTHON) is Python {sys.version.split()[0]}; 3.11 or newer is right: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml $(NATIVE) | $(VENV)/bin/python
	@echo "Setting up $(VENV): the packages that Ossia needs and the native library (about a minute, once)" >&2
	@$(BIN)/python .ci/install.py $(VENV)/install.log --editable .
	@touch $@

$(VENV)/developed: pyproject.toml $(NATIVE) | $(VENV)/bin/python
	@echo "Setting up $(VENV) with all that tests need, torch among it (several minutes, once)" >&2
	@$(BIN)/python .ci/install.py $(VENV)/install.log --editable '.[dev]'
	@touch $(VENV)/installed $@

comma := ,

# $(1) the build folder's name; $(2) what is to be built otherwise than by default.
define configured
	$(BIN)/cmake -S . -B build/$(1) -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja $(2)
endef

# $(1) the processor; $(2) the instruction set that is to be chosen on it.
define emulated
	QEMU_CPU=$(1) OSSIA_BEST_ISA=$(2) \
		$(BIN)/ctest --test-dir build/aarch64 --output-on-failure --timeout 600 --parallel 2
endef

# $(1) the build folder.
define both
	OSSIA_LIKE_AMD=0 $(BIN)/ctest --test-dir $(1) --output-on-failure --timeout 600 --parallel 2
	OSSIA_LIKE_AMD=1 $(BIN)/ctest --test-dir $(1) --output-on-failure --timeout 600 --parallel 2
endef

# $(1) what to look for, as -fsanitize= spells it; $(2) the build folder's name.
define sanitized
	$(call configured,$(2),-DOSSIA_SANITIZE=$(1))
	$(BIN)/cmake --build build/$(2)
	$(call both,build/$(2))
endef
