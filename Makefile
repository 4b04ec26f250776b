# demo, test, lint, bench: all that one has to know. Everything goes into .venv and build/, nothing outside.
# An install is repeated only when something that it builds from has changed.

PYTHON ?= python3
BUILT_FROM := pyproject.toml CMakeLists.txt $(wildcard backends/cpp/src/*)

.PHONY: demo test lint bench mutants sanitize image image-test clean

demo: .venv/.installed-viz
	.venv/bin/tinygrad-edu run digits --out runs/digits

# What drives a browser, forks and serves has a process of its own, and the machine to itself. All other files of tests
# are shared out among some processes.
SERVED := tests/serve tests/scripts/test_player.py tests/scripts/test_reports_in_browser.py
PARALLEL := -n auto --maxprocesses 4 --dist loadfile

test: .venv/.installed-test
	.venv/bin/pytest $(SERVED)
	.venv/bin/pytest $(PARALLEL) $(SERVED:%=--ignore=%)

# mypy reads the package as it is when installed; the folders' mapping exists only there.
lint: .venv/.installed-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	rm -rf build/lint
	.venv/bin/pip install --quiet --no-deps --target build/lint -C wheel.cmake=false .
	cd build/lint && ../../.venv/bin/mypy --config-file ../../pyproject.toml --cache-dir ../../.mypy_cache -p tinygrad_edu

bench: .venv/.installed-test
	.venv/bin/pytest tests/bench -o python_files='bench_*.py' --benchmark-only --benchmark-autosave
	.venv/bin/python tests/bench/bench_import.py
	.venv/bin/tinygrad-edu bench
	.venv/bin/python -m tinygrad_edu.bench.products
	.venv/bin/python -m tinygrad_edu.bench.reductions
	.venv/bin/python -m tinygrad_edu.bench.sequences
	.venv/bin/python -m tinygrad_edu.bench.vision
	.venv/bin/python -m tinygrad_edu.bench.elementwise
	.venv/bin/python -m tinygrad_edu.bench.memory
	.venv/bin/python -m tinygrad_edu.bench.long_sequences
	.venv/bin/python -m tinygrad_edu.bench.busy
	.venv/bin/python -m tinygrad_edu.bench.classic
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 .venv/bin/python -m tinygrad_edu.bench.ops
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 .venv/bin/python -m tinygrad_edu.bench.table

# Is every gradient rule, made wrong in many ways, caught by the tests' table of cases?
mutants: .venv/.installed-test
	.venv/bin/python -m tinygrad_edu.testing.mutants

# The C++ kernels under AddressSanitizer and UBSan: built into build/sanitize, from where TINYGRAD_EDU_KERNELS lets the
# package take them. The sanitizer's library must be loaded before Python, and libstdc++ with it, whose exceptions it
# watches. Python never gives back all memory at its end, hence no search for leaks. Pytest's usual capturing would take
# the sanitizer's last words.
SANITIZE_ISA ?= $(shell .venv/bin/python -c "from tinygrad_edu.backends.cpp import chosen_isa; print(chosen_isa())")
SANITIZED = LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 TINYGRAD_EDU_KERNELS=$(CURDIR)/build/sanitize \
	TINYGRAD_EDU_ISA=$(SANITIZE_ISA) OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 PYTEST_ADDOPTS=--capture=sys

sanitize: .venv/.installed-test
	cmake -S . -B build/sanitize -DTINYGRAD_EDU_SANITIZE=ON -DTINYGRAD_EDU_ISAS=$(SANITIZE_ISA) \
		-DPython_EXECUTABLE=$(CURDIR)/.venv/bin/python -Dpybind11_DIR=$$(.venv/bin/python -m pybind11 --cmakedir)
	cmake --build build/sanitize --parallel 2
	$(SANITIZED) .venv/bin/python -m pytest -q -p no:cacheprovider tests/backends
	$(SANITIZED) .venv/bin/tinygrad-edu check --backend cpp -q

# The service in a container, by Docker, or without its engine by Debian's buildah and debootstrap.
image:
	$(PYTHON) tests/serve/image.py build

image-test: .venv/.installed-test
	.venv/bin/python tests/serve/image.py test

clean:
	rm -rf .venv build dist runs .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.installed: $(BUILT_FROM) | .venv/bin/python
	.venv/bin/pip install --quiet -e .
	touch $@

# What an extra needs comes on top, so that the kernels are compiled but once.
.venv/.installed-%: .venv/.installed
	.venv/bin/pip install --quiet 'tinygrad-edu[$*]'
	touch $@
