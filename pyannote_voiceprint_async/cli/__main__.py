"""Run the command line with `python -m pyannote_voiceprint_async.cli`."""

from .entry import main

main()
