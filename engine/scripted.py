"""A recognizer that plays back a script: what is said when is known, and a window hears what lies inside it.

It needs no model and no CPU, and gives the same hypothesis for the same window whatever came before. Made for
trying out clients and for measuring the streaming logic apart from any model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import AbortedError
from engine.types import Hypothesis, Window, Word

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class ScriptedRecognizer:
    """Hears the words of `script` that lie wholly inside a window.

    A last word that the window cuts off is heard as something else, as a real recognizer would mishear it.
    """

    script: Sequence[Word]
    language: str = "en"

    def recognize(self, window: Window, *, threads: int, should_abort: Callable[[], bool]) -> Hypothesis:
        """The words of the script between the window's ends. Raises `AbortedError` if told to at the outset."""
        del threads
        if should_abort():
            raise AbortedError("nobody waits for this window any more")
        heard = [word for word in self.script if window.start <= word.start and word.end <= window.end]
        cut = next((word for word in self.script if word.start < window.end < word.end), None)
        if cut is not None and window.start <= cut.start:
            # Mishearings of a word that is still being said differ from one moment to the next.
            text = f"{cut.text[:2]}{window.end - cut.start}"
            heard.append(Word(text, cut.start, window.end, cut.confidence / 2))
        return Hypothesis(tuple(heard), self.language if window.detect else window.language)

    def close(self) -> None:
        """Nothing is held."""
