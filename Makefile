# make demo    opens the embedded example (on a machine without a display: writes demo.png)
# make test    runs the tests, on a virtual screen (make slow: those that take long)
# Both make .venv first, and again only when pyproject.toml or constraints.txt has changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two processes: software OpenGL and torch each keep a core busy. In the order of their folders, or long files with few
# tests would come last. A process that dies ends all of it: in another one the rest would wait for ever.
PYTEST ?= $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0
export PYTHON

.PHONY: help screen display setup demo test slow soak coverage fuzz lint format types imports manifest check docs architecture \
        bench pictures triton wheel clean

help:
	@echo "make demo      open the embedded example (no display: write demo.png)"
	@echo "make test      run the tests"
	@echo "make setup     only make what these two need"
	@echo "make slow      run the tests that take longer than eight seconds"
	@echo "make soak      run the tests that take minutes"
	@echo "make fuzz      feed 10,000 damaged files to every reader"
	@echo "make coverage  measure what the quick tests reach"
	@echo "make check     ruff, mypy, import-linter, npe2 validate"
	@echo "make docs      build the documentation as a site into site/"
	@echo "make format    put the code into its usual form"
	@echo "make architecture  write docs/architecture.md and its pictures from the code"
	@echo "make bench     run the benchmarks, write benchmarks/results.md"
	@echo "make pictures  make the pictures of the documentation"
	@echo "make triton    check that triton and OpenGL do not crash in one process"
	@echo "make wheel     build the wheel into dist/ and check its contents"
	@echo "make clean     remove what the other targets made"

$(STAMP): pyproject.toml constraints.txt
	sh scripts/system_packages.sh
	sh scripts/make_venv.sh $(VENV)
	touch $@

# The screen comes before the environment, so that one call of apt brings all that is missing.
screen:
	@sh scripts/system_packages.sh xvfb

display:
	@if [ -z "$$DISPLAY$$WAYLAND_DISPLAY" ]; then sh scripts/system_packages.sh xvfb; fi

setup: screen $(STAMP)

demo: display $(STAMP)
	@sh scripts/demo.sh $(BIN)/napari-mammosae

test: screen $(STAMP)
	$(PYTEST) -m "not slow and not soak"

slow: screen $(STAMP)
	$(PYTEST) -m "slow and not soak"

# One after the other: they use all the memory and all the cores that they can get.
soak: screen $(STAMP)
	$(BIN)/pytest -m soak --timeout 3600 || [ $$? -eq 5 ]  # 5: there are none

# make fuzz COUNT=1000 SEED=2 takes fewer files, and others
COUNT ?= 10000
SEED ?= 1
fuzz: $(STAMP)
	$(BIN)/python scripts/fuzz.py --count $(COUNT) --seed $(SEED)

# Without what draws with OpenGL and what takes long: so it is done in a fraction of the time of all tests.
coverage: screen $(STAMP)
	$(PYTEST) -q -m "not opengl and not slow and not soak" --cov=napari_mammosae --cov-report=json:.coverage.json
	$(BIN)/python scripts/show_coverage.py .coverage.json

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

manifest: $(STAMP)
	$(BIN)/npe2 validate src/napari_mammosae/napari.yaml

check: lint types imports manifest

# The variable silences what the theme says of its successor.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python scripts/check_site.py site

architecture: $(STAMP)
	$(BIN)/python scripts/make_architecture.py

# make bench ONLY="slider start" runs these alone and leaves the other results as they are
bench: screen $(STAMP)
	$(BIN)/python benchmarks/run.py $(ONLY)

pictures: screen $(STAMP)
	xvfb-run -a -s "-screen 0 1600x1000x24" $(BIN)/python scripts/make_pictures.py

# Needs the network: it fetches triton, which the tests do without.
triton: $(STAMP)
	PYTHON=$(BIN)/python sh scripts/check_triton.sh

wheel: $(STAMP)
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist .
	$(BIN)/python scripts/check_wheel.py dist/*.whl

clean:
	rm -rf $(VENV) dist build site demo.png demo.png.json .coverage .coverage.json .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis fuzz-faults
