"""What goes wrong in ml, told to the person who started the run."""


class MlError(Exception):
    """One sentence that says what is wrong and what to do about it."""
