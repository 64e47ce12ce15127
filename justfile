# The recipes are the README's commands; `just` itself is optional.

# As in pyproject.toml.
bindings := 'pywhispercpp>=1.5.1,<1.6'

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

# In one library, so that no other ggml of the host is taken for its own; `just wheel` undoes it.
# Build whisper.cpp for this host's own processor: a minute or more, with a C++ compiler and Python's headers.
native:
    CMAKE_ARGS='-DGGML_NATIVE=ON -DGGML_LLAMAFILE=ON -DBUILD_SHARED_LIBS=OFF -DCMAKE_POSITION_INDEPENDENT_CODE=ON' \
        .venv/bin/pip install -q --force-reinstall --no-deps --no-cache-dir --no-binary pywhispercpp '{{bindings}}'

# Take the package index's whisper.cpp again.
wheel:
    .venv/bin/pip install -q --force-reinstall --no-deps --only-binary pywhispercpp '{{bindings}}'

lint:
    .venv/bin/ruff check . && .venv/bin/ruff format --check .

types:
    .venv/bin/mypy

# Stream a file, "-" or "mic" to a running server.
stream SOURCE *ARGS:
    .venv/bin/trioscribe stream {{SOURCE}} {{ARGS}}
