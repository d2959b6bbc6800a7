"""The error of a command line or config file that cannot be used as it is."""


class UsageError(ValueError):
    """Names the option or field, its value and what is allowed."""
