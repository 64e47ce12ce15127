"""Who comes in: keys, origins, TLS."""
