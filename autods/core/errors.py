"""The exceptions that a user, not a programmer, is meant to read."""


class UserError(Exception):
    """A problem that the user can fix.

    The message is a single line: what is wrong, where, and what to do. The command line prints it without
    a traceback and exits with code 2.
    """


class Interrupted(KeyboardInterrupt):
    """Something from outside has ended the run, as Ctrl-C would: what is finished is kept.

    The message is a single line: what has happened.
    """
