"""The REST interface: exports over HTTP, by Quart-Trio on Hypercorn."""
