"""Whisper models as files: what comes along, how a name becomes a path, and whether a file is sound."""
