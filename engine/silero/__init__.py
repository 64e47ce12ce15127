"""Silero's voice activity detector: its network in NumPy, and its weights (MIT, see LICENSE)."""
