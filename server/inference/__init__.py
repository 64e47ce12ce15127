"""The recognizers, the threads they run in, and which window is decoded next."""
