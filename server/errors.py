"""The server's error tree. Each carries a sentence that says what is wrong and what to do."""


class ServerError(Exception):
    """Anything the server refuses or fails to do."""


class SettingsError(ServerError):
    """A setting is unknown or its value is not allowed; the message names the key and what is allowed."""


class ProtocolError(ServerError):
    """A client sent what cannot be understood. `code` is a stable word for programs, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class StoreError(ServerError):
    """An export cannot be written, read or found."""


class ExportNotFoundError(StoreError):
    """There is no export under this ID (or the ID is not one), or none that the asker may see."""

    def __init__(self, message: str = "There is no such export; it may have been deleted.") -> None:
        super().__init__(message)


class ExportNotReadyError(StoreError):
    """The stream behind this ID has not ended yet."""


class StartupError(ServerError):
    """The server cannot start: a port in use, a data directory that cannot be written, a model that fails."""


class KeyFileError(ServerError):
    """The file of API keys cannot be read or changed, or a name in it is not allowed."""


class RefusedError(ServerError):
    """Someone may not come in. `status` is HTTP's; `code` a stable word for programs, the message for people.

    `retry_after`: seconds after which it is worth another try, if it is.
    """

    def __init__(self, status: int, code: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status
        self.code = code


class ClientError(ServerError):
    """The client side cannot go on: no server answers, it refuses the stream, or it ends it midway."""


class StreamRefusedError(ClientError):
    """The server answers, and does not take the stream."""


class BrokenOffError(ClientError):
    """The connection ended without a goodbye; the server may still hold the stream."""


class SourceError(ServerError):
    """There is no audio to stream: a file that cannot be read, a missing microphone."""


class SaveError(ServerError):
    """A transcript cannot be saved: a format that does not exist, a place that cannot be written."""


class InvalidCursorError(StoreError):
    """The cursor given is not one that a list of exports handed out."""
