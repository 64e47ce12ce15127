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
    """There is no export under this ID (or the ID is not one)."""


class ExportNotReadyError(StoreError):
    """The stream behind this ID has not ended yet."""


class StartupError(ServerError):
    """The server cannot start: a port in use, a data directory that cannot be written, a model that fails."""
