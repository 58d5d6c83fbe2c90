"""The subcommands of `mafs`, one file or folder each."""
