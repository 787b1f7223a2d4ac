"""`python -m pyannote_voiceprint_async.cli` is `pyannote-voiceprint`."""

from .entry import main

main()
