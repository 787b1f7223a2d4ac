"""Run the command line with `python -m pyannote_voiceprint_async`."""

from .cli.entry import main

main()
