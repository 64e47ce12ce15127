"""The language that is spoken: set, or detected anew in every utterance that is long enough to tell.

A shorter one keeps the language of the one before it: in less than two seconds a wrong guess is likelier than another
language, and it would turn the words into those of that language.
"""

from __future__ import annotations

from typing import Final

from engine.types import SAMPLE_RATE

SURE: Final = 2 * SAMPLE_RATE
"""Speech that language identification needs to be trusted."""

FIRST_GUESS: Final = "en"


class SpokenLanguage:
    """What is known of it. Lengths are of windows, in samples."""

    def __init__(self, setting: str) -> None:
        """`setting`: a code, or "auto"."""
        self._set = setting != "auto"
        self._ever_sure = False
        self._detected = False
        self.known: str | None = setting if self._set else None

    @property
    def code(self) -> str:
        """The language to decode in."""
        return self.known or FIRST_GUESS

    @property
    def tentative(self) -> bool:
        """Whether all that is known is a guess: what has been heard so far may be words of another language."""
        return not (self._set or self._ever_sure)

    def in_doubt(self, length: int) -> bool:
        """Whether a window of this length is to be asked; a short one only for want of anything better."""
        return not (self._set or self._detected) and (self.known is None or length >= SURE)

    def detected(self, code: str, length: int) -> None:
        """A window of this length was found to be in this language."""
        self.known = code
        self._detected = length >= SURE
        self._ever_sure = self._ever_sure or self._detected

    def start_over(self) -> None:
        """Somebody else may speak next."""
        self._detected = False
