"""The training itself: processes of one thread each that share their gradients after every step.

At this size one thread a process is quicker than several threads in one: the work is many small steps. What a step
learns from depends only on its number, so a run that was ended goes on from its last checkpoint as if nothing had
happened.
"""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import distributed, multiprocessing, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from models.training.batch import draw
from models.training.corpus import corpus
from models.training.grammar import LANGUAGES, load
from models.training.muon import Muon
from models.training.network import Size
from models.training.precision import quicker
from models.training.student import Student
from models.training.surroundings import Surroundings
from models.training.vocabulary import Vocabulary, front
from models.training.windows import Windows

if TYPE_CHECKING:
    from pathlib import Path

    from models.training.recipe import Recipe

log = logging.getLogger(__name__)

CHECKPOINT: Final = "checkpoint.pt"
EVERY: Final = 250
"""Steps from one checkpoint to the next."""

SHOWN: Final = 50
"""Steps from one line of the log to the next."""

LONGEST_GRADIENT: Final = 1.0


def train(recipe: Recipe, folder: Path, base: Path) -> Path:
    """Train in `folder`, from its checkpoint if there is one. Returns the finished checkpoint's path.

    `base`: any multilingual ggml file, whose vocabulary and mel filters are Whisper's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    corpus(folder / "corpus", recipe.seed, recipe.sentences, recipe.processes)
    meeting = folder / "meeting"
    meeting.unlink(missing_ok=True)
    arguments = (recipe, folder, base, meeting, quicker())
    multiprocessing.start_processes(_process, arguments, recipe.processes, start_method="spawn")
    return folder / CHECKPOINT


def _process(  # noqa: PLR0913, PLR0917 - these make a process
    rank: int, recipe: Recipe, folder: Path, base: Path, meeting: Path, dtype: torch.dtype
) -> None:
    torch.set_num_threads(1)
    logging.basicConfig(
        filename=folder / "log.txt",
        format="%(asctime)s %(message)s",
        level=logging.INFO if rank == 0 else logging.ERROR,
    )
    distributed.init_process_group("gloo", f"file://{meeting.resolve()}", rank=rank, world_size=recipe.processes)
    _Trainer(rank, recipe, folder, base, dtype).run()
    distributed.destroy_process_group()


class _Trainer:
    def __init__(self, rank: int, recipe: Recipe, folder: Path, base: Path, dtype: torch.dtype) -> None:
        self._rank, self._recipe, self._checkpoint, self._dtype = rank, recipe, folder / CHECKPOINT, dtype
        head = front(base)
        self._vocabulary = Vocabulary(head.tokens, [load(language) for language in LANGUAGES])
        self._windows = Windows(
            corpus(folder / "corpus", recipe.seed, recipe.sentences, recipe.processes), Surroundings(recipe.seed)
        )
        torch.manual_seed(recipe.seed)
        size = Size(recipe.width, recipe.layers, recipe.layers, self._vocabulary.rows)
        self._student = Student(size, torch.from_numpy(head.filters.copy()), self._vocabulary.rest_bias)
        self._weights = list(self._student.parameters())
        matrices = [p for name, p in self._student.named_parameters() if _is_matrix(name, p)]
        held = {id(p) for p in matrices}
        self._muon = Muon(matrices, recipe.matrix_decay, dtype)
        self._adam = torch.optim.AdamW(
            [p for p in self._weights if id(p) not in held], betas=(0.9, 0.98), weight_decay=0.0, foreach=True
        )
        self._average = parameters_to_vector(self._weights).detach().clone()
        self._step = 0
        if self._checkpoint.exists():
            self._restore(torch.load(self._checkpoint, map_location="cpu"))
        log.info("%d weights, %d rows, %s, from step %d", self._average.numel(), size.rows, dtype, self._step)

    def run(self) -> None:
        recipe, means, began = self._recipe, dict[str, float](), time.monotonic()
        while self._step < recipe.steps:
            for name, value in self._learn().items():
                means[name] = value if name not in means else 0.98 * means[name] + 0.02 * value
            self._step += 1
            if self._step % SHOWN == 0:
                shown = "  ".join(f"{name} {value:.3f}" for name, value in means.items())
                log.info("step %d  %s  %.3f s a step", self._step, shown, (time.monotonic() - began) / SHOWN)
                began = time.monotonic()
            if self._rank == 0 and (self._step % EVERY == 0 or self._step == recipe.steps):
                self._save()

    def _learn(self) -> dict[str, float]:
        """One step; returns the losses of this process."""
        recipe, step = self._recipe, self._step
        shape, stage = recipe.draw(step, random.Random(f"{recipe.seed} {step}"))
        rng = random.Random(f"{recipe.seed} {step} {self._rank}")
        batch = draw(self._windows, self._vocabulary, shape, stage, rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._dtype is torch.bfloat16):
            losses = self._student(batch)
        loss = losses.words + recipe.spelling(step) * losses.spelling + recipe.attention(step) * losses.attention
        self._student.zero_grad(set_to_none=True)
        loss.backward()
        self._share()
        rate = recipe.rate(step)
        self._muon.step(recipe.matrix_rate * rate, self._rank, recipe.processes)
        self._adam.param_groups[0]["lr"] = recipe.other_rate * rate
        self._adam.step()
        self._average.lerp_(parameters_to_vector(self._weights).detach(), 1 - min(recipe.averaging, step / (step + 10)))
        return {name: float(getattr(losses, name).detach()) for name in ("words", "spelling", "attention")}

    def _share(self) -> None:
        """Give all processes the mean of their gradients, no longer than `LONGEST_GRADIENT`."""
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._weights]
        packed = torch.cat([part.flatten() for part in parts])
        distributed.all_reduce(packed)
        packed /= self._recipe.processes
        packed *= (LONGEST_GRADIENT / (packed.norm() + 1e-6)).clamp(max=1)
        for weight, part in zip(self._weights, packed.split([p.numel() for p in self._weights]), strict=True):
            weight.grad = part.view_as(weight)

    def _save(self) -> None:
        state = {
            "step": self._step,
            "student": self._student.state_dict(),
            "average": self._average,
            "muon": self._muon.momentum,
            "adam": self._adam.state_dict(),
        }
        partial = self._checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self._checkpoint)

    def _restore(self, state: dict[str, Any]) -> None:
        self._step = state["step"]
        self._student.load_state_dict(state["student"])
        self._average.copy_(state["average"])
        for momentum, saved in zip(self._muon.momentum, state["muon"], strict=True):
            momentum.copy_(saved)
        self._adam.load_state_dict(state["adam"])


def averaged(checkpoint: Path, student: Student) -> None:
    """Load a checkpoint's averaged weights into a student of its size."""
    vector_to_parameters(torch.load(checkpoint, map_location="cpu")["average"], student.parameters())


def _is_matrix(name: str, weight: nn.Parameter) -> bool:
    """Whether Muon learns it: what maps features to features, not embeddings and heads."""
    return weight.ndim > 1 and ".blocks." in name or name.startswith("encoder.conv") and weight.ndim > 1  # noqa: RUF021
