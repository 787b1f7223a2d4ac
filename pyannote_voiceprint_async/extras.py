"""The command that installs an extra, for the errors that name one."""

__all__ = ["install_command"]


def install_command(extra: str) -> str:
    """Return the command that installs an extra, also from a clone: the package is not published yet."""
    return f"pip install 'pyannote-voiceprint-async[{extra}]' (in a clone: pip install '.[{extra}]')"
