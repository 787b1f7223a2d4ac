"""How commands under test poll jobs: without the second that they would wait for each result."""

from functools import partial

from pyannote_voiceprint_async import Polling

QuickPolling = partial(Polling, first=0.05, longest=0.5)
