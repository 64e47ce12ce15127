"""The engine's error tree; whatever a library raises is mapped onto it where the library is called."""


class EngineError(Exception):
    """Anything the engine refuses or fails to do."""


class InvalidAudioError(EngineError):
    """The audio given cannot be taken (wrong rate, or fed after the end of the stream)."""


class ModelError(EngineError):
    """A model file is missing, damaged, not a Whisper model, or failed to load or to run."""


class AbortedError(EngineError):
    """A recognition was given up because nobody waits for it any more."""
