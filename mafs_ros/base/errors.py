"""Errors as people read them."""


def one_line(error: BaseException) -> str:
    """The text of an error on one line; errors without a text give their type."""
    return " ".join(str(error).split()) or type(error).__name__
