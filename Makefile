# Two commands: `make run` and `make test`. The others are their parts.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 8501

.PHONY: run test bench lint setup dev system browser hosted clean

run: setup
	$(BIN)/streamlit run app.py --server.port $(PORT)

test: dev hosted
	$(BIN)/python -m pytest tests --ignore=tests/browser -n 2
	$(BIN)/python -m pytest tests/browser

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: dev browser
	$(BIN)/python -m benchmarks

setup: system .venv/ready .venv/warm

dev: setup .venv/ready-dev

# torch first and alone: asked for by another package it would come with gigabytes of CUDA.
.venv/ready: requirements.txt constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' requirements.txt)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

# Workers take the compiled kernels and keep none of their own.
.venv/warm: .venv/ready $(wildcard explainers/trees/*.py)
	$(BIN)/python -m explainers.trees.warm
	touch $@

.venv/ready-dev: .venv/ready requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

# The gradient-boosting libraries need the system's OpenMP runtime.
system:
	@sh tools/need.sh "ldconfig -p | grep -q libgomp.so.1 || test $$(uname) != Linux" libgomp1

# The browser tests drive Debian's Chromium; poppler shows PDF pages.
browser:
	@sh tools/need.sh "command -v chromium" chromium
	@sh tools/need.sh "command -v pdftoppm" poppler-utils

# Tests of the hosted product start their own PostgreSQL, nginx, Caddy, OpenID provider and token for keys.
hosted: browser
	@sh tools/need.sh "ls /usr/lib/postgresql/*/bin/initdb" postgresql
	@sh tools/need.sh "command -v nginx || ls /usr/sbin/nginx" nginx
	@sh tools/need.sh "command -v caddy" caddy
	@sh tools/need.sh "command -v softhsm2-util" softhsm2
	@sh tools/need.sh "command -v npm" npm
	npm ci --silent --no-audit --no-fund --prefix tests/providers

clean:
	rm -rf .venv .assay
