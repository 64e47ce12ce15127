"""Every setting of the server, once: `Settings` is the table behind the flags, the environment and TOML.

A setting is one field of `Settings`, made by `setting(default, kind, purpose)`. The field `step_ms` is
`--step-ms` on the command line, `TRIOSCRIBE_STEP_MS` in the environment and `step_ms` in a TOML file; of the
sources default, file, environment and command line, the later wins. To add a setting, add a field here and a
row to `docs/configuration.md`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from platformdirs import user_data_path

from models.folder import default_folder
from server.access.origins import LIST
from server.errors import SettingsError
from server.protocol import LANGUAGE
from server.settings.allowed import Kind, choice, file, folder, host_name, number, switch, text, whole
from server.settings.suggestion import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

T = TypeVar("T")

PREFIX: Final = "TRIOSCRIBE_"
CONFIG_VARIABLE: Final = PREFIX + "CONFIG"
"""The environment's name for `--config`: where the TOML file is, so not a setting itself."""

KEY_VARIABLE: Final = PREFIX + "KEY"
"""The environment's name for a client's `--key`: in no list of processes, and no setting either."""

NO_SETTINGS: Final = (CONFIG_VARIABLE, KEY_VARIABLE)

PORT: Final = whole(0, 65535)
ANYTHING: Final = re.compile(r"[^\0]+")
ADDRESS: Final = re.compile(r"(https?://\S+)?")
PROMPT: Final = re.compile(r"(?s).{0,2000}")


class Origin(StrEnum):
    """Where a value came from, weakest first."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    COMMAND_LINE = "command line"


def setting(default: T | Callable[[], T], kind: Kind[T], purpose: str) -> T:
    """Make a row of the table. A callable default is called for each `Settings`: import does no work."""
    metadata = {"kind": kind, "help": purpose}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one server. Raises `SettingsError` when built with a value that is not allowed."""

    host: str = setting("127.0.0.1", host_name(), "address to listen on")
    port: int = setting(8394, PORT, "WebSocket port; 0 takes a free one")
    rest_port: int = setting(8393, PORT, "REST port; 0 takes a free one")
    model: str = setting(
        "trioscribe-en-de",
        text(ANYTHING, "a model's name or the path of its file", "NAME|FILE"),
        "whisper.cpp model, by name or path; the default is a demonstration: `trioscribe models list` shows real ones",
    )
    models_dir: Path = setting(  # noqa: RUF009 - it is a field with a factory, which ruff cannot see
        default_folder, folder(), "directory of the models that were pulled"
    )
    models_mirror: str = setting(
        "",
        text(ADDRESS, "an http or https address", "URL"),
        "address under which the files of models are, in place of the published ones",
    )
    data_dir: Path = setting(  # noqa: RUF009 - it is a field with a factory, which ruff cannot see
        lambda: user_data_path("trioscribe"), folder(), "directory of the exports: transcripts and audio"
    )
    slots: int = setting(0, whole(0, 256), "recognizers in parallel; 0 is one per core that may be used")
    language: str = setting(
        "auto",
        text(LANGUAGE, 'a code such as "de", or "auto"', "CODE"),
        "language spoken; auto detects it",
    )
    task: str = setting(
        "transcribe",
        choice("transcribe", "translate"),
        "transcribe in the language spoken, or translate to English",
    )
    prompt: str = setting(
        "",
        text(PROMPT, "a text of at most 2000 characters"),
        "names and terms to expect, given to the model as if they had just been said",
    )
    partials: str = setting(
        "stable",
        choice("stable", "eager"),
        "stable partials never take a word back; eager ones also show words that may still change",
    )
    agreement: int = setting(
        2,
        whole(1, 5),
        "inferences in a row that must agree to settle a word; more is later and safer",
    )
    endpoint_ms: int = setting(600, whole(300, 2000), "milliseconds of silence in the audio that end an utterance")
    max_utterance_s: float = setting(
        15.0, number(5, 28), "longest utterance in seconds; speech that goes on is cut there"
    )
    stall_s: float = setting(
        2.0, number(0.5, 60), "seconds without audio from a client after which its utterance is ended"
    )
    step_ms: int = setting(
        500,
        whole(100, 5000),
        "least milliseconds of new audio between two inferences; a busy host stretches it up to 3.2 times",
    )
    audio_ctx_floor: int = setting(
        -1,
        whole(-1, 1500),
        "smallest encoder context, 50 a second of audio; less is faster; -1 is what the model declares",
    )
    max_message_mb: int = setting(16, whole(1, 64), "largest WebSocket message in MiB; a larger one ends its stream")
    send_timeout_s: float = setting(10.0, number(1, 600), "seconds after which a client that does not read is ended")
    grace_s: float = setting(10.0, number(0, 600), "seconds that open streams have to finish at shutdown")
    admission: str = setting(
        "measured",
        choice("measured", "open"),
        "take as many streams as this host was measured to hold; or any number, whatever becomes of their captions",
    )
    max_streams: int = setting(0, whole(0, 10_000), "most streams at a time; 0 leaves it to `admission`")
    max_streams_per_address: int = setting(0, whole(0, 10_000), "most streams from one address; 0 is no limit")
    queue: int = setting(0, whole(0, 1_000), "clients that may wait in line when the host is full; 0 refuses them")
    max_stream_h: float = setting(12.0, number(0.001, 1_000), "hours of audio after which a stream is finished")
    idle_s: float = setting(
        300.0, number(1, 86_400), "seconds without anything from a client after which its stream is finished"
    )
    ping_s: float = setting(
        20.0, number(0.1, 3_600), "seconds of silence after which a client is pinged, and that it has to answer"
    )
    resume_s: float = setting(
        30.0, number(0, 3_600), "seconds that a stream whose connection broke off waits for its client to come back"
    )
    handshake_s: float = setting(10.0, number(1, 60), "seconds for a client to complete its handshake")
    rest_body_kb: int = setting(64, whole(1, 1_024), "largest body of a REST request in KiB")
    rest_timeout_s: float = setting(
        15.0, number(1, 600), "seconds for a REST request to come in, and between requests of a connection"
    )
    inference_timeout_s: float = setting(
        60.0, number(0.1, 3_600), "seconds after which an inference counts as hung and its recognizer is replaced"
    )
    storage_failure: str = setting(
        "end",
        choice("end", "continue"),
        "end a stream that cannot be stored any more, or continue it without a recording",
    )
    min_free_disk_mb: int = setting(
        256, whole(0, 100_000_000), "MiB that stay free on the disk of data_dir: recording stops before"
    )
    keep_days: float = setting(0.0, number(0, 36_500), "days after which an export is deleted; 0 keeps all")
    keep_exports: int = setting(0, whole(0, 100_000_000), "most exports that are kept, the newest; 0 keeps all")
    keep_gb: float = setting(0.0, number(0, 1_000_000), "most GiB of exports that are kept, the newest; 0 keeps all")
    log_level: str = setting(
        "info", choice("debug", "info", "warning", "error", "critical"), "least severity that is logged"
    )
    log_format: str = setting("text", choice("text", "json"), "lines for people, or a JSON object a line for programs")
    keys_file: str = setting(
        "", file(), "API keys that are accepted, made by `trioscribe keys`; without it nobody needs a key"
    )
    insecure: bool = setting(
        default=False, kind=switch(), purpose="listen without keys even where other machines can connect"
    )
    tls_cert: str = setting("", file(), "certificate chain (PEM) for wss:// and https:// on both ports")
    tls_key: str = setting("", file(), "private key (PEM) of the certificate")
    origins: str = setting(
        "",
        text(LIST, 'origins such as "https://example.org" with commas between them, or *', "ORIGINS"),
        "web pages that may use the server, besides those of its own host",
    )

    def __post_init__(self) -> None:
        for row in table():
            _checked(row, getattr(self, row.name), row.name)
        if self.port == self.rest_port != 0:
            raise SettingsError(f"port and rest_port are both {self.port}; they must differ.")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise SettingsError("tls_cert and tls_key go together; one of them is missing.")


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as its sources and its documentation see it."""

    name: str
    default: object
    kind: Kind[object]
    help: str

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.name.upper()


@dataclass(frozen=True, slots=True)
class Effective:
    """Settings, and for each name where its value came from."""

    settings: Settings
    origins: Mapping[str, Origin]


def table() -> tuple[Row, ...]:
    """List all settings, in the order of documentation."""
    return tuple(
        Row(
            row.name,
            row.default if row.default_factory is MISSING else row.default_factory(),
            row.metadata["kind"],
            row.metadata["help"],
        )
        for row in fields(Settings)
    )


def load(
    argv_values: Mapping[str, str],
    environ: Mapping[str, str],
    toml: Mapping[str, object],
    *,
    file: str = "the configuration file",
) -> Effective:
    """Put the settings together from their sources; pure.

    `argv_values` has texts by setting's name, `environ` may hold foreign variables, `toml` is a parsed file
    which messages call `file`. Raises `SettingsError` for an unknown key of ours or a value that is not
    allowed: the message has the key, where it stood, and what is allowed.
    """
    rows = {row.name: row for row in table()}
    variables = {row.variable: row for row in rows.values()}
    values: dict[str, Any] = {}
    origins = dict.fromkeys(rows, Origin.DEFAULT)

    for key, value in toml.items():
        row = _known(key, rows, f"in {file}")
        values[row.name] = _checked(row, value, f"{key} in {file}")
        origins[row.name] = Origin.FILE
    for variable in sorted(name for name in environ if name.startswith(PREFIX) and name not in NO_SETTINGS):
        row = _known(variable, variables, "in the environment")
        values[row.name] = _read(row, environ[variable], f"{variable} in the environment")
        origins[row.name] = Origin.ENVIRONMENT
    for key, value in argv_values.items():
        row = _known(key, rows, "on the command line")
        values[row.name] = _read(row, value, f"{row.flag} on the command line")
        origins[row.name] = Origin.COMMAND_LINE
    return Effective(Settings(**values), origins)


def read_toml(path: Path) -> dict[str, object]:
    """Read a TOML file. Raises `SettingsError` if it cannot be read or, with the line, is malformed."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The configuration file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"The configuration file {path} is not UTF-8 text.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"The configuration file {path} is not valid TOML: {error}.") from error


def _known(key: str, rows: Mapping[str, Row], place: str) -> Row:
    if key in rows:
        return rows[key]
    close = nearest(key, [*rows, *NO_SETTINGS])
    hint = f"did you mean {close}?" if close else "`trioscribe config` lists what there is."
    raise SettingsError(f"Unknown setting {key} {place}; {hint}")


def _read(row: Row, value: str, place: str) -> object:
    try:
        return _checked(row, row.kind.read(value), place)
    except ValueError as error:
        raise _wrong(row, value, place) from error


def _checked(row: Row, value: object, place: str) -> object:
    try:
        return row.kind.check(value)
    except ValueError as error:
        raise _wrong(row, value, place) from error


def _wrong(row: Row, value: object, place: str) -> SettingsError:
    return SettingsError(f"{place} is {value!r}; it must be {row.kind.says}.")
