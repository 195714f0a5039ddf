"""What a run ends with when it finds something."""


class Violation(AssertionError):
    """The server broke a promise."""
