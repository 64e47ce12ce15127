"""A stream from its handshake to its export."""
