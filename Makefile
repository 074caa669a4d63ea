# Everything that lightx needs, from a machine with Python 3.11, make and a package index.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# The environment's own folder comes first, so that notebooks and subprocesses find its commands.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test lab notebooks readme page docs clean
demo: .venv/demo            ## fine-tune, explain, sweep alpha and report on embedded data
	lightx sweep --jobs 2 --out runs/demo

test: export HF_HUB_OFFLINE = 1
test: export HF_DATASETS_OFFLINE = 1
test: .venv/dev             ## notebooks, tests, a papermill run, a wheel
	ruff check lightx tests setup.py
	nbdev_test --n_workers 1
	pytest

lab: .venv/dev              ## the notebooks in JupyterLab
	jupyter lab --ServerApp.allow_root=True nbs

notebooks: .venv/dev        ## after an edit: export, clean, and the README from nbs/index.ipynb
	nbdev_export
	nbdev_clean
	$(MAKE) readme

# Bars and coloured texts belong to the notebook: on a repository's page they would be noise.
readme:
	jupyter nbconvert --log-level ERROR --to markdown --stdout nbs/index.ipynb \
	  --TagRemovePreprocessor.enabled=True --TagRemovePreprocessor.remove_cell_tags=notebookonly \
	  --TagRemovePreprocessor.remove_all_outputs_tags=quiet | sed -E 's#\]\((experiments/|tutorials/|[0-9]+[a-z]?_)#](nbs/\1#g' > README.md

# The page is part of the docs, and too large to keep with them.
DATA ?= bbc_news
N ?= 64
page: .venv/dev nbs/try.html ## a classifier that explains itself in the browser
nbs/try.html:
	rm -rf runs/page
	lightx distill --data $(DATA) --n-per-class $(N) --max-length 64 --out runs/page/model
	lightx export runs/page/model --data $(DATA) --cut 1 --web --out runs/page/exported
	mv runs/page/exported/index.html $@

docs: page                  ## the site, with Quarto
	nbdev_docs

clean:                      ## forget the environment, builds and runs
	rm -rf .venv build dist *.egg-info _proc _docs runs/*

# torch comes first and by itself: a wider range may fetch gigabytes of CUDA packages for a CPU.
.venv/bin/python:
	$(PYTHON) -m venv .venv
	$@ -m pip install -q torch==2.13.0

.venv/demo .venv/dev: .venv/%: settings.ini setup.py | .venv/bin/python
	$(BIN)/python -m pip install -q -e '.[$*]'
	touch $@
