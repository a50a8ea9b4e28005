"""What goes wrong in the lab."""


class LabError(Exception):
    """The lab could not do what was asked; the message says why, and ends with what the failing program said."""
