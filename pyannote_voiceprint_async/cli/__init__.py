"""The command line `pyannote-voiceprint`, which needs the extra `[cli]`."""

from .entry import main

__all__ = ["main"]
