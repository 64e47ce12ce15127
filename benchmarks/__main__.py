"""All benchmarks, one after the other: `python -m benchmarks --help`. Each in a process of its own."""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Final

ALL: Final = ("latency", "accuracy", "capacity", "cost", "stalls", "memory")

STARTED_HERE: Final = frozenset({"cost", "stalls", "memory"})
"""These look into the server, so they can only measure one that they start."""


def main() -> int:
    """Run them; the exit status is that of the last one that failed, or 0."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Run all benchmarks. Options are handed on to each, such as --model tiny-cost, "
        "--audio-ctx-floor 768 or --url ws://host:8394/; `python -m benchmarks.latency --help` lists them.",
    )
    parser.add_argument("--only", nargs="+", choices=ALL, default=list(ALL), help="these alone")
    arguments, shared = parser.parse_known_args()
    elsewhere = any(option == "--url" or option.startswith("--url=") for option in shared)
    status = 0
    for name in arguments.only:
        if elsewhere and name in STARTED_HERE:
            print(f"{name}: left out, for it can only measure a server that it starts itself.", file=sys.stderr)
            continue
        print(f"== {name}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *shared], check=False)  # noqa: S603 - ours
        status = done.returncode or status
    return status


if __name__ == "__main__":
    sys.exit(main())
