"""What is kept of a stream: its folder on disk, written as it happens, and its transcript in many formats."""
