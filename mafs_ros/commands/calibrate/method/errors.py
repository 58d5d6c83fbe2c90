"""Why a drive gives no registration."""


class CalibrationError(ValueError):
    """The evidence is too weak for a registration; the text says why, and what to do."""
