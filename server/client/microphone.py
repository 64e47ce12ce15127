"""The microphone, and the list of those there are, by PortAudio through sounddevice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from server.client.converter import BLOCK_S, Converter, floats
from server.errors import SourceError

if TYPE_CHECKING:
    import sounddevice


class Microphone:
    """A source that is live; `close` it."""

    live = True
    duration_s = None

    def __init__(self, device: int | str | None = None) -> None:
        """Open a device by its number or a part of its name, or the system's. Raises `SourceError`."""
        library = _sounddevice()
        self._failure: type[Exception] = library.PortAudioError
        try:
            self._stream: sounddevice.InputStream = library.InputStream(device=device, channels=1, dtype="int16")
            try:
                self._stream.start()
            except library.PortAudioError:
                self._stream.close()
                raise
        except (library.PortAudioError, ValueError) as error:
            raise SourceError(
                f"No microphone can be opened: {error}. `trioscribe stream --list-devices` shows which there are."
            ) from error
        self._converter = Converter(int(self._stream.samplerate))
        self._block = int(self._stream.samplerate * BLOCK_S)

    async def read(self) -> bytes:
        """See `server.client.frames.Source`."""
        return await trio.to_thread.run_sync(self._read)

    def _read(self) -> bytes:
        try:
            samples, _ = self._stream.read(self._block)
        except self._failure as error:
            raise SourceError(f"The microphone has stopped: {error}.") from error
        return self._converter.convert(floats(samples))

    def close(self) -> None:
        """Stop recording."""
        self._stream.close()


def devices() -> list[str]:
    """A line for each device with a microphone: number, name, system and rate; `>` is before the one that is taken.

    Raises `SourceError`.
    """
    library = _sounddevice()
    try:
        return [
            f"{'>' if each['index'] == library.default.device[0] else ' '} {each['index']:2} {each['name']}, "
            f"{library.query_hostapis(each['hostapi'])['name']}, {each['default_samplerate']:.0f} Hz"
            for each in library.query_devices()
            if each["max_input_channels"]
        ]
    except library.PortAudioError as error:
        raise SourceError(f"The devices cannot be listed: {error}.") from error


def _sounddevice() -> Any:  # noqa: ANN401 - it has no types
    try:
        import sounddevice  # noqa: PLC0415 - an optional package, wanted only here
    except ImportError as error:
        raise SourceError("The microphone needs a further package: .venv/bin/pip install -e '.[mic]'") from error
    except OSError as error:
        raise SourceError("The microphone needs PortAudio: apt install libportaudio2.") from error
    return sounddevice
