"""What can go wrong with models beyond a file that is not sound."""

from __future__ import annotations

from engine.errors import ModelError


class PullError(ModelError):
    """A model could not be fetched; what has come of it is kept where that helps."""
