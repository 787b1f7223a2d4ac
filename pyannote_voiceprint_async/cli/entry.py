"""The entry point, which must import without click and rich to report that they are missing."""

import os
import sys

from .interrupt import ExitAtInterrupt

__all__ = ["main"]

# The variable with which a shell requests completions. Click writes them as bytes, which the filters do not accept.
_COMPLETION = "_PYANNOTE_VOICEPRINT_COMPLETE"


def main() -> None:
    """Run the command line, and exit. Exit with code 2 if the extra `[cli]` is not installed."""
    interrupt = ExitAtInterrupt()
    interrupt.install()
    try:
        _run()
    finally:
        interrupt.mark_ended()
        interrupt.install()


def _run() -> None:
    # Imported here: SIGINT must be handled before the first slow import.
    from importlib.util import find_spec  # noqa: PLC0415

    from .terminal import filter_streams  # noqa: PLC0415

    if _COMPLETION not in os.environ:
        filter_streams()
    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        from pyannote_voiceprint_async.extras import install_command  # noqa: PLC0415

        problem, command = f"The command line needs {' and '.join(missing)}.", install_command("cli")
        sys.stderr.write(f"Error: {problem} Install the extra: {command}\n")
        sys.exit(2)
    from .app import app  # noqa: PLC0415 - needs click

    app(prog_name="pyannote-voiceprint")
