# The recipes are the README's commands; `just` itself is optional.

# Install and start the server with the bundled model.
serve:
    python3 -m venv .venv && .venv/bin/pip install -q -e . && .venv/bin/trioscribe serve

# Install what the tests need and run them.
test:
    python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/pytest

# Measure everything: latency, accuracy, capacity, cost, stalls, memory. Options are handed on (--model tiny-cost ...).
bench *ARGS:
    .venv/bin/pip install -q -e '.[bench]' && .venv/bin/python -m benchmarks {{ARGS}}

# Make a model with the cost of OpenAI's tiny, base or small (tiny-cost, base-cost, small-cost) in the cache folder.
widen SHAPE:
    .venv/bin/python -m models.widen {{SHAPE}}

# Train the bundled model anew, from nothing, into .train (see docs/training.md). It goes on where it was ended.
train *ARGS:
    .venv/bin/pip install -q -e '.[train]' && .venv/bin/python -m models.training {{ARGS}}

lint:
    .venv/bin/ruff check . && .venv/bin/ruff format --check .

types:
    .venv/bin/mypy

# Stream a file, "-" or "mic" to a running server.
stream SOURCE *ARGS:
    .venv/bin/trioscribe stream {{SOURCE}} {{ARGS}}
