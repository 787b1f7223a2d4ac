"""The command line, `pyannote-voiceprint`. It needs the extra `[cli]`."""

from .entry import main

__all__ = ["main"]
