"""How the bundled model is trained: every number that it depends on, and what a step's windows are like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from models.training.windows import Stage

if TYPE_CHECKING:
    from random import Random

SHAPES: Final = {128: 18, 192: 14, 256: 10, 384: 7, 512: 5, 768: 4, 1024: 3, 1500: 2}
"""Windows that each process takes at a time, by encoder positions: 46 to 61 s of sound."""

SHORT: Final = {128: 0.2, 192: 0.4, 256: 0.4}
MIXED: Final = {128: 0.1, 192: 0.12, 256: 0.16, 384: 0.16, 512: 0.14, 768: 0.12, 1024: 0.08, 1500: 0.12}
LONG: Final = {128: 0.1, 192: 0.1, 256: 0.12, 384: 0.13, 512: 0.13, 768: 0.14, 1024: 0.1, 1500: 0.18}
"""Shares of the steps by positions of their windows."""

RECORDED: Final = 0.5
"""Share of recorded persons' voices in the English windows of the last steps; before, it is that of the corpus."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """`sentences`: of the corpus. Everything is counted in steps, from the first or, where it says so, from the last.

    So more steps only lengthen the middle.
    """

    steps: int = 12_000
    seed: int = 1
    sentences: int = 50_000
    processes: int = 2
    width: int = 128
    layers: int = 4
    clean: int = 500
    """The first steps: short windows of undisturbed speech, most of a single sentence."""
    mild: int = 1_300
    """Until then, windows of all lengths with little noise."""
    aided: int = 3_000
    """Until then, the auxiliary losses weigh more, and the top layer looks ahead (`windows.Stage.recalling`)."""
    long: int = 4_000
    """The last steps: more long windows, and more of the voices of recorded persons."""
    matrix_rate: float = 0.015
    matrix_decay: float = 0.02
    other_rate: float = 2e-3
    warmup: int = 200
    falling: int = 7_000
    """The last steps: the rates of learning fall to zero."""
    averaging: float = 0.998
    """Of the weights' exponential average, which is what is exported."""

    def rate(self, step: int) -> float:
        """Factor of the rates at a step."""
        return min(1.0, (step + 1) / self.warmup, (self.steps - step) / self.falling)

    def spelling(self, step: int) -> float:
        """Weight of the spelling's loss."""
        return 1.0 if step < self.aided else 0.4

    def attention(self, step: int) -> float:
        """Weight of the guided attention's loss."""
        return 0.3 if step < self.aided else 0.2

    def draw(self, step: int, rng: Random) -> tuple[tuple[int, int], Stage]:
        """Windows and positions of a step, and how hard they are."""
        late = step >= self.steps - self.long
        shares, stage = (LONG if late else MIXED), Stage(1.0, 0.3, step >= self.aided, RECORDED if late else None)
        if step < self.clean:
            shares, stage = SHORT, Stage(0.0, 0.8)
        elif step < self.mild:
            stage = Stage(0.4, 0.4)
        positions = rng.choices(list(shares), list(shares.values()))[0]
        return (SHAPES[positions], positions), stage
