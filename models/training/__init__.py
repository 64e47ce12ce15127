"""How the bundled demonstration model is made: `python -m models.training --help`."""
