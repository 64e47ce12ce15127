"""The direction of imports: server -> engine, and native code behind one file."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {"trio", "quart", "server", "models", "logging", "asyncio", "time", "hypercorn", "trio_websocket"} | {
    "os",
    "threading",
    "socket",
}
ROOMS = ("engine", "server", "models")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "engine").rglob("*.py")), ids=lambda path: path.name)
def test_the_engine_knows_no_shell(path: Path) -> None:
    assert imports(path) & FORBIDDEN == set()


def test_native_code_is_behind_one_file() -> None:
    files = {path for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    users = {str(path.relative_to(ROOT)) for path in files if imports(path) & {"_pywhispercpp", "pywhispercpp"}}
    # The training's own ear reads what the engine does not: it measures a model, not the server.
    assert users == {"engine/whisper.py", "models/training/listener.py"}
