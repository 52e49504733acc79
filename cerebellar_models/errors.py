"""The two ways a command ends badly; both are shown as one line, never as a traceback."""


class UserError(Exception):
    """Bad input: names the file or option, the key, and what would be right (exit status 2)."""

    exit_status = 2


class RunError(Exception):
    """A stage failed although its input was good (exit status 1)."""

    exit_status = 1
