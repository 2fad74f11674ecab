"""Errors a user can act on.

Every message is one line that names the file, the place in it, the value found
and what would be right. The command line prints that line and exits non-zero.
"""


class SeqExpError(Exception):
    """Base of every error raised for bad input, configuration or state."""


class ConfigError(SeqExpError):
    """A recipe or run configuration has an unknown key or a wrong value."""


class InputError(SeqExpError):
    """A genome file, track, annotation or archive cannot be used as given."""


class DatasetError(SeqExpError):
    """A record store is incomplete, damaged or of another schema."""


class RunError(SeqExpError):
    """A run directory or model cannot be used as asked."""
