"""The report of a replay: its numbers and its page."""
