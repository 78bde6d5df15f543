"""Exceptions whose message is one line for the user."""


class UserError(Exception):
    """A problem that the user can fix.

    The message is a single line: what is wrong, where, and what to do. The command line prints it without
    a traceback and exits with code 2.
    """


def require_type(name: str, value: object, *kinds: type) -> None:
    """Refuse an argument of another type, by its name.

    Parameters
    ----------
    name
        Of the argument.
    value
        What was given.
    kinds
        Types that it may have.

    Raises
    ------
    TypeError
        Naming the argument, its type and the types that it may have.
    """
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds if kind is not type(None))
        raise TypeError(f"{name} is {value!r:.60} ({type(value).__name__}): give {wanted}")


class Interrupted(KeyboardInterrupt):
    """Something from outside has ended the run, as Ctrl-C would: what is finished is kept.

    The message is a single line: what has happened.
    """
