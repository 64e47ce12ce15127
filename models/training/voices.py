"""Who speaks: draws a voice and its way of speaking. Some voices are kept for the evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from models.training.espeak import Espeak
from models.training.festival import Festival
from models.training.flite import Flite

if TYPE_CHECKING:
    from random import Random

    from models.training.utterance import Utterance

ACCENTS: Final = {
    "en": ("en-us", "en-us", "en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbcwmd", "en-029", "en-us-nyc"),
    "de": ("de",),
}

# fmt: off
VARIANTS: Final = (
    "Alex", "Alicia", "Andrea", "Andy", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky", "Lee",
    "Marco", "Mario", "Mike", "Nguyen", "adam", "anika", "announcer", "antonio", "aunty", "belinda", "benjamin",
    "caleb", "ed", "edward", "edward2", "f1", "f2", "f3", "f5", "fast", "grandma", "grandpa", "gustave", "iven",
    "iven2", "iven4", "john", "kaukovalta", "klatt", "klatt2", "klatt3", "klatt4", "m1", "m2", "m3", "m4", "m6",
    "m7", "m8", "marcelo", "michel", "miguel", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert",
    "sandro", "shelby", "steph", "steph3", "travis", "victor", "zac",
)
# fmt: on
"""espeak-ng's variants (each is applied to an accent) that are learned from."""

HELD_OUT: Final = ("Annie", "Michael", "boris", "david", "f4", "iven3", "linda", "m5", "max", "steph2")
"""Those that the model never hears while it learns."""

FLITE: Final = ("awb", "rms", "slt")
FLITE_HELD_OUT: Final = "kal16"
FESTIVAL: Final = "ked"
FESTIVAL_HELD_OUT: Final = "slt-hts"
"""The voices of the others, likewise. `slt-hts` is of the same person as flite's `slt`, made by another method."""

SHARE_OF_FESTIVAL: Final = 0.28
"""Of the sentences by those that speak with a recorded person's voice: one of four."""


class Voices:
    """All synthesisers."""

    def __init__(self) -> None:
        self._espeak = Espeak()
        self._flite = Flite()
        self._festival = Festival()

    def close(self) -> None:
        """Let go of them."""
        self._festival.close()

    def espeak(self, language: str, text: str, rng: Random, *, held_out: bool = False) -> Utterance | None:
        """Let a voice of espeak-ng say a sentence in its own way: 110 to 215 words a minute, any pitch."""
        variant = rng.choice(HELD_OUT if held_out else VARIANTS)
        voice = f"{rng.choice(ACCENTS[language])}+{variant}"
        manner = {"rate": rng.randint(110, 215), "pitch": rng.randint(25, 75), "tones": rng.randint(20, 80)}
        return self._espeak.say(language, voice, text, **manner, size=rng.uniform(0.9, 1.12))

    def flite(self, text: str, rng: Random, *, held_out: bool = False) -> Utterance | None:
        """Let one of flite's voices say an English sentence in its own way."""
        voice = FLITE_HELD_OUT if held_out else rng.choice(FLITE)
        return self._flite.say(voice, text, **_manner(rng))

    def festival(self, text: str, rng: Random, *, held_out: bool = False) -> Utterance | None:
        """Let one of festival's voices say an English sentence in its own way."""
        return self._festival.say(FESTIVAL_HELD_OUT if held_out else FESTIVAL, text, **_manner(rng))

    def recorded(self, text: str, rng: Random) -> Utterance | None:
        """Let one of those with a recorded person's voice, which are learned from, say an English sentence."""
        return (self.festival if rng.random() < SHARE_OF_FESTIVAL else self.flite)(text, rng)


def _manner(rng: Random) -> dict[str, float]:
    return {"stretch": rng.uniform(0.8, 1.25), "pitch": rng.uniform(0.85, 1.2), "size": rng.uniform(0.9, 1.12)}
