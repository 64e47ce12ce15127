# The recipes are the README's commands; `just` itself is optional.

# Install and start the server with the bundled model.
serve:
    python3 -m venv .venv && .venv/bin/pip install -q -e . && .venv/bin/trioscribe serve

# Install what the tests need and run them.
test:
    python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/pytest

# Measure latency, accuracy and stalls at 1x over the real socket.
bench *ARGS:
    .venv/bin/python -m benchmarks.latency {{ARGS}}

lint:
    .venv/bin/ruff check . && .venv/bin/ruff format --check .

types:
    .venv/bin/mypy

# Stream a file, "-" or "mic" to a running server.
stream SOURCE *ARGS:
    .venv/bin/trioscribe stream {{SOURCE}} {{ARGS}}
