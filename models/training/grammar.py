"""Sentences of the small language that the bundled model knows: closed lists of words, many forms of sentence.

Part of the sentences are words in no order at all, so that a model cannot guess a word from those before it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from random import Random

LANGUAGES: Final = {"en": "english.toml", "de": "german.toml"}

DISORDERED: Final = 0.3
"""Share of the sentences that are words in no order."""

PART: Final = re.compile(r"\{(\w+)\}|\(([^()]*)\)|\[([^\[\]]*)\]")
WORD: Final = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")


@dataclass(frozen=True, slots=True)
class Grammar:
    """One language's lists and forms."""

    language: str
    lists: dict[str, list[str]]
    numbers: dict[str, Any]
    forms: list[str]
    words: list[str] = field(default_factory=list)
    """Every word of it, as it is written in mid-sentence, in order."""

    def sentence(self, rng: Random) -> str:
        """Draw a sentence, with its capital and its full stop or question mark."""
        return self.disordered(rng) if rng.random() < DISORDERED else self.ordered(rng)

    def disordered(self, rng: Random) -> str:
        """Draw words in no order, as a sentence."""
        count = rng.randint(2, 7)
        text = (", " if rng.random() < 0.3 else " ").join(rng.choice(self.words) for _ in range(count)) + "."  # noqa: PLR2004
        return text[0].upper() + text[1:]

    def ordered(self, rng: Random) -> str:
        """Draw a sentence of one of the forms, long ones more often than short ones: there is more to say with them."""
        text = self.fill(rng.choices(self.forms, [form.count(" ") + 1 for form in self.forms])[0], rng)
        return text[0].upper() + text[1:]

    def fill(self, form: str, rng: Random) -> str:
        """Draw what a form leaves open."""
        while match := PART.search(form):
            name, choice, option = match.groups()
            if name is not None:
                drawn = self._draw(name, rng)
            elif choice is not None:
                drawn = rng.choice(choice.split("|"))
            else:
                drawn = option if rng.random() < 0.5 else ""  # noqa: PLR2004
            form = form[: match.start()] + drawn + form[match.end() :]
        return form

    def _draw(self, name: str, rng: Random) -> str:
        if name == "digits":
            digits = [rng.choice(self.numbers["digits"]) for _ in range(rng.randint(3, 7))]
            return (", " if rng.random() < 0.5 else " ").join(digits)  # noqa: PLR2004
        if name == "integer":
            return self._integer(rng.choice([rng.randrange(2, 20), rng.randrange(20, 100), rng.randrange(100, 1000)]))
        return rng.choice(self.lists[name])

    def _integer(self, value: int) -> str:
        """Write out 2 to 999."""
        numbers = self.numbers
        hundreds, rest = divmod(value, 100)
        head = [] if not hundreds else [numbers["digits"][hundreds], numbers["hundred"]]
        tens, ones = divmod(rest, 10)
        if rest >= 20:  # noqa: PLR2004 - from here on numbers are put together
            tail = [numbers["tens"][tens - 2], numbers["digits"][ones]][: 1 + bool(ones)]
        else:
            tail = [numbers["teens"][ones] if tens else numbers["digits"][ones]] if rest else []
        if self.language == "de":
            return _german([word for word in head if word != "eins"], tail, compound=rest > 20 and ones > 0)  # noqa: PLR2004
        return " ".join(head + tail)


def _german(head: list[str], tail: list[str], *, compound: bool) -> str:
    """Hundreds stand as a word of their own here, so that the words stay few; ones go before tens."""
    if compound:
        tail = [("ein" if tail[1] == "eins" else tail[1]) + "und" + tail[0]]
    return " ".join(filter(None, ["".join(head), "".join(tail)]))


def load(language: str) -> Grammar:
    """Read a language's lists and forms: "en" or "de"."""
    data = tomllib.loads((files(__package__) / LANGUAGES[language]).read_text(encoding="utf-8"))
    grammar = Grammar(language, data["lists"], data["numbers"], data["sentences"]["forms"])
    grammar.words.extend(_words(grammar))
    return grammar


def _words(grammar: Grammar) -> list[str]:
    """All words; a form's first word is taken as it is written inside a sentence if it is found there too."""
    numbers = grammar.numbers
    phrases = [phrase for phrases in grammar.lists.values() for phrase in phrases]
    phrases += [*numbers["digits"], *numbers["teens"], *numbers["tens"], numbers["hundred"], numbers["thousand"]]
    phrases += [grammar._integer(value) for value in range(2, 1000)]  # noqa: SLF001 - a part of this class's making
    inside, first = {word for phrase in phrases for word in WORD.findall(phrase)}, set[str]()
    for form in grammar.forms:
        bare = re.sub(r"\{\w+\}", "_", form).replace("|", " ")
        for match in WORD.finditer(bare):
            (first if match.start() == 0 else inside).add(match[0])
    lower = {word for word in first if word.lower() in inside or word in inside}
    always = {word[0].lower() + word[1:] for word in first - lower}
    return sorted(inside | always)
