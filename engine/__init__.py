"""The synchronous core: audio samples and hypotheses in, windows and transcript events out.

Nothing here knows a clock, a socket or a thread; time is a sample index at 16 kHz counted from the first
sample of the stream. Only `engine.whisper` touches native code.
"""
