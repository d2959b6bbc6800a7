"""How a command ends: its exit statuses, and the error of a wrong command line or config file."""

EXIT_DONE, EXIT_ERROR, EXIT_USAGE, EXIT_NOT_BLESSED, EXIT_INTERRUPTED = 0, 1, 2, 3, 130


class UsageError(ValueError):
    """Names the option or field, its value and what is allowed."""
