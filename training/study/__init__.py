"""Studies: a recipe with sets of overrides and seeds, and one table."""
