"""Losses, optimizer and export of the training; they need PyTorch (`pip install -e .[train]`)."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from models.architecture import Header  # noqa: E402 - after the check that there is PyTorch
from models.ggml import check, read  # noqa: E402
from models.library import BUNDLED, find  # noqa: E402
from models.training import timbre  # noqa: E402
from models.training.batch import collate  # noqa: E402
from models.training.export import write  # noqa: E402
from models.training.lesson import write as lesson  # noqa: E402
from models.training.muon import orthogonal  # noqa: E402
from models.training.network import Size  # noqa: E402
from models.training.recipe import Recipe  # noqa: E402
from models.training.scoring import aligned  # noqa: E402
from models.training.student import Student, _off  # noqa: E402
from models.training.utterance import Utterance, Word  # noqa: E402
from models.training.vocabulary import SIZE, Vocabulary, front, unfold  # noqa: E402
from models.training.windows import Window, _heard  # noqa: E402


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    from models.training.grammar import load  # noqa: PLC0415

    return Vocabulary(front(find(BUNDLED).path).tokens, [load("en"), load("de")])


def test_the_row_for_the_rest_counts_as_all_tokens_that_it_stands_for(vocabulary: Vocabulary) -> None:
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((vocabulary.rows, 8)).astype(np.float32)
    hidden = rng.standard_normal(8).astype(np.float32)
    few = rows @ hidden
    few[-1] += vocabulary.rest_bias
    all_tokens = unfold(rows, vocabulary.ids) @ hidden
    chances = np.exp(few - few.max()) / np.exp(few - few.max()).sum()
    full = np.exp(all_tokens - all_tokens.max()) / np.exp(all_tokens - all_tokens.max()).sum()
    assert len(full) == SIZE
    assert chances[:-1] == pytest.approx(full[list(vocabulary.ids)], rel=1e-3)


def test_attention_is_not_off_where_it_looks_evenly_at_its_span() -> None:
    weights = torch.full((1, 1, 10), 1e-9)
    weights[0, 0, 3:7] = 0.25
    assert float(_off(weights.log(), torch.tensor([[[3, 7]]]))) == pytest.approx(0, abs=1e-4)
    assert float(_off(weights.log(), torch.tensor([[[6, 10]]]))) > 1


def test_spans_that_are_not_asked_cost_nothing() -> None:
    assert float(_off(torch.zeros(1, 2, 10), torch.zeros(1, 2, 2, dtype=torch.int64))) == 0


@pytest.mark.parametrize("name", ["bfloat16", "float32"])
def test_muon_makes_matrices_nearly_orthogonal(name: str) -> None:
    torch.manual_seed(1)
    values = torch.linalg.svdvals(orthogonal(torch.randn(3, 16, 48), getattr(torch, name)))
    assert values.min() > 0.5
    assert values.max() < 1.4


def test_another_timbre_moves_resonances_and_keeps_the_level() -> None:
    filters = torch.from_numpy(front(find(BUNDLED).path).filters.copy())
    factors = torch.tensor([1.0, 1.15, 0.87])
    plain, shorter, longer = timbre.Timbre(factors, torch.ones(3, 80)).bank(filters)
    assert torch.allclose(plain, filters, atol=1e-6)
    assert torch.allclose(shorter.sum(1), filters.sum(1), rtol=1e-4)
    tone = torch.zeros(201)
    tone[50] = 1  # 2 kHz: heard where lower or higher tones were
    heard = [int((bank @ tone).argmax()) for bank in (plain, shorter, longer)]
    assert heard[2] < heard[0] < heard[1]


def test_timbres_differ_from_window_to_window_and_not_from_run_to_run() -> None:
    first, second = (timbre.draw(40, 80, random.Random(5), 1.0) for _ in range(2))
    assert torch.equal(first.stretch, second.stretch)
    assert torch.equal(first.colour, second.colour)
    assert 10 < len(set(first.stretch.tolist())) < 40  # some are left as they are
    assert torch.equal(timbre.draw(40, 80, random.Random(5), 0.0).stretch, torch.ones(40))


def test_a_pause_within_a_sentence_moves_what_follows() -> None:
    pcm = np.full(16_000, 1_000, np.int16)
    words = (Word("Good", 0.1, 0.5, sure=True), Word("morning.", 0.5, 0.9, sure=True))
    said = Utterance("en", "somebody", "Good morning.", pcm, words).paused(1, 0.25)
    assert said.words == (words[0], Word("morning.", 0.75, 1.15, sure=True))
    assert len(said.pcm) == 20_000
    assert not said.pcm[8_000:12_000].any()
    assert (said.pcm[:7_900] == 1_000).all()
    assert (said.pcm[12_100:] == 1_000).all()


def test_a_lesson_can_be_learned(vocabulary: Vocabulary) -> None:
    torch.manual_seed(1)
    head = front(find(BUNDLED).path)
    student = Student(Size(128, 1, 4, vocabulary.rows), torch.from_numpy(head.filters.copy()), vocabulary.rest_bias)
    sound = np.random.default_rng(1).standard_normal(128 * 320).astype(np.float32) * np.float32(0.1)
    window = Window("en", sound, [[Word("Hello", 0.5, 1.0, sure=True)]])
    as_it_is = timbre.draw(1, 80, random.Random(1), 0.0)
    batch = collate([window], [lesson(window, vocabulary, random.Random(1))], vocabulary, as_it_is)
    optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        parts = student(batch)
        loss = parts.words + parts.spelling + parts.attention
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


def test_what_is_exported_can_be_read_back(vocabulary: Vocabulary, tmp_path: Path) -> None:
    head = front(find(BUNDLED).path)
    torch.manual_seed(1)
    student = Student(Size(64, 1, 1, vocabulary.rows), torch.from_numpy(head.filters.copy()), vocabulary.rest_bias)
    weights = {name: value.numpy() for name, value in student.state_dict().items()}
    weights["decoder.token_embedding.weight"] = unfold(student.embedding().detach().numpy(), vocabulary.ids)
    header = Header(SIZE, 1500, 64, 1, 1, 448, 64, 1, 1, 80, 1)
    path = tmp_path / "model.bin"
    write(path, header, head, weights)
    assert check(path) == header
    layout = read(path)
    assert front(path).tokens == head.tokens
    for tensor in layout.tensors:
        with path.open("rb") as file:
            file.seek(tensor.data_at)
            kind = np.float32 if tensor.form.kind == 0 else np.float16
            data = np.frombuffer(file.read(tensor.form.size), kind).reshape(tensor.form.extents[::-1])
        assert np.allclose(data.reshape(weights[tensor.name].shape), weights[tensor.name], atol=2e-3)


def test_words_cut_in_two_are_not_heard() -> None:
    words = (Word("One,", 0.0, 0.5, sure=True), Word("two,", 0.5, 1.0, sure=True), Word("three.", 1.0, 1.5, sure=True))
    assert [word.text for word in _heard(words, 0.0, 1.2, 0.0)] == ["One,", "two"]
    assert [(word.text, word.start) for word in _heard(words, 0.2, 1.5, 1.0)] == [("two,", 1.5), ("three.", 2.0)]


def test_the_recipe_ends_with_a_rate_of_nearly_zero() -> None:
    recipe = Recipe()
    assert recipe.rate(recipe.steps - 1) < 0.001
    assert max(recipe.rate(step) for step in range(recipe.steps)) == 1


def test_errors_are_counted_and_equal_words_paired() -> None:
    assert aligned(["a", "b", "c"], ["a", "x", "c", "d"]) == (2, [(0, 0), (2, 2)])
    assert aligned([], ["a"]) == (1, [])
