"""From a decoder's tokens to words. Pure; the recognizer supplies tokens with their bytes."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

UNSPACED: Final = frozenset({"zh", "ja", "th", "lo", "my", "yue", "km"})
"""Languages written without spaces, where every character stands as a word of its own. Whisper's own word timing
makes the same distinction (openai/whisper, tokenizer.split_to_word_tokens)."""


@dataclass(frozen=True, slots=True)
class Token:
    """One text token: its bytes (perhaps part of a character) and its probability."""

    data: bytes
    probability: float


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word: text with the space before it, and the geometric mean of its tokens' probabilities."""

    text: str
    confidence: float


def spoken(tokens: Iterable[Token], language: str) -> list[Spoken]:
    """Group tokens into words.

    Characters spread over several tokens are joined first. A word then begins at a token that begins with a space,
    or, in a language without spaces, at every character; punctuation stays with the word before it, save where a
    space stands before it and none behind it. What is not valid UTF-8 in the end becomes U+FFFD rather than an error,
    and what has no text is dropped.
    """
    whole = list(_whole_characters(tokens))
    texts = [token.data.decode(errors="replace") for token in whole]
    words: list[list[Token]] = []
    for token, text, following in zip(whole, texts, [*texts[1:], ""], strict=False):
        clings = _is_punctuation(text) and not _opens(text, following)
        if not words or (_is_word_start(text, language) and not clings):
            words.append([token])
        else:
            words[-1].append(token)
    return [word for group in words if (word := _joined(group)).text.strip()]


def _whole_characters(tokens: Iterable[Token]) -> Iterator[Token]:
    held: Token | None = None
    for token in tokens:
        joined = token if held is None else _merge(held, token)
        if _is_incomplete(joined.data):
            held = joined
        else:
            held = None
            yield joined
    if held is not None:
        yield held


def _is_incomplete(data: bytes) -> bool:
    """Whether the bytes stop in the middle of a character that more bytes could complete."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return False


def _merge(first: Token, second: Token) -> Token:
    return Token(first.data + second.data, min(first.probability, second.probability))


def _is_word_start(text: str, language: str) -> bool:
    return text.startswith(" ") or language in UNSPACED


def _is_punctuation(text: str) -> bool:
    """Closing marks cling to the word before them; an opening one (category Ps, Pi) begins the next."""
    return bool(text.strip()) and all(unicodedata.category(c) in {"Pe", "Pf", "Pd", "Po", "Pc"} for c in text.strip())


def _opens(text: str, following: str) -> bool:
    """Whether a mark belongs to the word behind it, whatever its category: "¿Cómo", or »so« as German has it."""
    return text.startswith(" ") and bool(following) and not following.startswith(" ") and not _is_punctuation(following)


def _joined(group: list[Token]) -> Spoken:
    logs = [math.log(min(1.0, max(token.probability, 1e-9))) for token in group]
    return Spoken(
        b"".join(token.data for token in group).decode(errors="replace"),
        math.exp(sum(logs) / len(logs)),
    )
