"""The command `trioscribe stream`, and the client session behind it, which other programs may use too."""
