"""The way in: the one module that works without click and rich."""

import sys
from importlib.util import find_spec

from .terminal import filter_streams

__all__ = ["main"]


def main() -> None:
    """Run the command that the process was started with, and exit."""
    filter_streams()
    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"Error: The command line needs {' and '.join(missing)}: "
            "run `pip install 'pyannote-voiceprint-async[cli]'`.\n"
        )
        sys.exit(2)
    from .app import app  # noqa: PLC0415 - only now is it known that click is there

    app(prog_name="pyannote-voiceprint")
