"""Scripts that measure a running server. Speed is measured here, and never asserted in a test."""
