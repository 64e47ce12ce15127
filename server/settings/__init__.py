"""Every setting: what it may be, where it came from."""
