"""Who speaks: draws a voice and its way of speaking. Some voices are kept for the evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from models.training.espeak import Espeak
from models.training.festival import Festival
from models.training.flite import Flite
from models.training.pico import Pico

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

RECORDED: Final = {
    "en": (
        ("flite", "awb"),
        ("flite", "rms"),
        ("flite", "slt"),
        ("festival", "ked"),
        ("festival", "bdl"),
        ("festival", "clb"),
        ("pico", "us"),
        ("pico", "gb"),
    ),
    "de": (("pico", "de"),),
}
"""The voices of recorded persons, by language, that are learned from."""

RECORDED_HELD_OUT: Final = {"flite": "kal16", "festival": "slt-hts"}
"""Those that are not. `slt-hts` is of the same person as flite's `slt`, made by another method."""


class Voices:
    """All synthesisers."""

    def __init__(self) -> None:
        self._espeak = Espeak()
        self._festival = Festival()
        self._recorded: dict[str, Flite | Festival | Pico] = {
            "flite": Flite(),
            "festival": self._festival,
            "pico": Pico(),
        }

    def close(self) -> None:
        """Let go of them."""
        self._festival.close()

    def espeak(self, language: str, text: str, rng: Random, *, held_out: bool = False) -> Utterance | None:
        """Let a voice of espeak-ng say a sentence in its own way: 110 to 215 words a minute, any pitch."""
        variant = rng.choice(HELD_OUT if held_out else VARIANTS)
        voice = f"{rng.choice(ACCENTS[language])}+{variant}"
        manner = {"rate": rng.randint(110, 215), "pitch": rng.randint(25, 75), "tones": rng.randint(20, 80)}
        return self._espeak.say(language, voice, text, **manner, size=rng.uniform(0.9, 1.12))

    def recorded(self, language: str, text: str, rng: Random, synthesiser: str | None = None) -> Utterance | None:
        """Let one of those with a recorded person's voice, which are learned from, say a sentence in its own way."""
        speakers = [speaker for speaker in RECORDED[language] if synthesiser in {None, speaker[0]}]
        return self._say(*rng.choice(speakers), text, rng)

    def unheard(self, text: str, rng: Random, synthesiser: str) -> Utterance | None:
        """Let that synthesiser's voice which is not learned from say an English sentence in its own way."""
        return self._say(synthesiser, RECORDED_HELD_OUT[synthesiser], text, rng)

    def _say(self, synthesiser: str, voice: str, text: str, rng: Random) -> Utterance | None:
        manner = {"stretch": rng.uniform(0.8, 1.25), "pitch": rng.uniform(0.85, 1.2), "size": rng.uniform(0.9, 1.12)}
        return self._recorded[synthesiser].say(voice, text, **manner)
