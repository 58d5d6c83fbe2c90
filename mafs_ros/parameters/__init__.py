"""The parameters of the node: their table, their checks, their files."""
