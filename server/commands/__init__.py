"""What the commands do that need no server: the models on this machine."""
