"""URLs of audio: what identifies the audio, and when a signature expires."""
