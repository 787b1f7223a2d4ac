"""Lists of speakers, and the checks before anything is sent."""
