"""An asyncio client for pyannoteAI voiceprints."""
