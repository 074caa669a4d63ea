# Everything that lightx needs, from a machine with Python 3.11 or later, make and a package index.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# The environment's own folder comes first, so that notebooks and subprocesses find its commands.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# PyPI's builds of torch bring gigabytes of CUDA to every Linux; this index has a build for the CPU, on every system and Python.
# With a GPU: `make TORCH=torch`.
TORCH ?= torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu --retries 1

.PHONY: demo test browser lab notebooks readme page web docs clean
demo: .venv/demo            ## fine-tune, explain, sweep alpha, compare, and a page, on embedded data
	lightx demo

test: export HF_HUB_OFFLINE = 1
test: export HF_DATASETS_OFFLINE = 1
test: .venv/dev browser     ## spelling, notebooks, tests, a papermill run, a wheel
	ruff check lightx tests tools setup.py
	codespell
	OMP_NUM_THREADS=1 nbdev_test --n_workers 2
	pytest --cov

browser:                    ## is there a browser for the page's tests? In CI there has to be one
	@$(BIN)/python tests/browser.py

lab: .venv/dev              ## the notebooks in JupyterLab
	jupyter lab --ServerApp.allow_root=True nbs

notebooks: .venv/dev        ## after an edit: export, clean, and the README from nbs/index.ipynb
	nbdev_export
	nbdev_clean
	$(MAKE) readme

readme:
	python tools/readme.py

# The page is part of the docs, and too large to keep with them.
DATA ?= bbc_news
N ?= 64
page: .venv/dev nbs/try.html ## a classifier that explains itself in the browser
nbs/try.html:
	rm -rf runs/page
	lightx distill $(DATA) --n-per-class $(N) --max-length 64 --out runs/page/model
	lightx export runs/page/model --data $(DATA) --prune 1 --out runs/page/exported --web
	mv runs/page/exported/index.html $@

# The package carries this file and its licence: users need no npm.
TOKENIZERS_JS ?= @huggingface/tokenizers@0.2.0
web:                        ## the page's tokenizer library, afresh from npm
	npm pack $(TOKENIZERS_JS) --silent --pack-destination $(or $(TMPDIR),/tmp) | xargs -I{} tar -xzf $(or $(TMPDIR),/tmp)/{} -C lightx/deploy/web package/LICENSE package/dist/tokenizers.min.mjs
	mv lightx/deploy/web/package/LICENSE lightx/deploy/web/tokenizers.LICENSE
	mv lightx/deploy/web/package/dist/tokenizers.min.mjs lightx/deploy/web
	rm -r lightx/deploy/web/package

docs: page                  ## the site: Quarto's where it is installed (nbdev would make a README of its own), else one to look at
	if command -v quarto >/dev/null; then nbdev_docs && $(MAKE) readme; else python tools/book.py; fi

clean:                      ## forget the environment, builds and runs
	rm -rf .venv build dist *.egg-info _proc _docs runs/*

# torch comes first and by itself, so that what follows finds it.
.venv/bin/python:
	$(PYTHON) -m venv .venv
	$@ -m pip install -q $(TORCH)

.venv/demo: EXTRAS = demo
.venv/dev: EXTRAS = dev
.venv/demo .venv/dev: settings.ini setup.py | .venv/bin/python
	$(BIN)/python -m pip install -q -e '.[$(EXTRAS)]'
	touch $@
