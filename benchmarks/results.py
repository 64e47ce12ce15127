"""What a benchmark leaves behind: a JSON file that says how its figures came about, and the machine they are from."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.whisper import features
from server.host import usable_cores

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = Path(__file__).parent / "results"
LIBRARIES: Final = ("trioscribe", "pywhispercpp", "numpy", "trio", "trio-websocket")


@dataclass(frozen=True, slots=True)
class Result:
    """A benchmark's outcome. `figures` are what it is for; `samples` what its plots are drawn from."""

    name: str
    command: str
    model: Mapping[str, object]
    figures: Mapping[str, object]
    samples: Mapping[str, object]

    def save(self, folder: Path) -> Path:
        """Write `NAME.json` into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        fields = {
            "command": self.command,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "versions": {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()},
            "model": self.model,
            "figures": self.figures,
            "samples": self.samples,
        }
        path.write_text(json.dumps(fields, indent=1, default=_plain) + "\n", encoding="utf-8")
        return path


def machine() -> dict[str, object]:
    """The processor, how much of it may be used, what whisper.cpp was built for, and how busy it has been.

    The last by the load averages of 1 and 5 minutes.
    """
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    one, five, _ = os.getloadavg()
    return {
        "processor": models[0] if models else platform.processor(),
        "architecture": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": usable_cores(),
        "memory_gib": round(memory, 1),
        "whisper.cpp": sorted(features()),
        "load_average_at_the_end": [round(one, 2), round(five, 2)],
    }


def command(module: str) -> str:
    """The command line of this run."""
    return shlex.join(["python", "-m", module, *sys.argv[1:]])


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")
