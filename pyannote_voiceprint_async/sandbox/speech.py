"""Where a recording has speech, and numbers that differ between voices. They need the extra `[audio]`."""

import asyncio
import io
from importlib.util import find_spec

import attrs

from pyannote_voiceprint_async.sandbox.audio import HEAD_BYTES, read_header
from pyannote_voiceprint_async.sandbox.diarized_recordings import DiarizedRecording

# Larger or longer files are not measured: their decoding would need too much memory, or too much time.
LARGEST_MEASURED = 64 * 1024**2
_LONGEST_SECONDS = 900.0


@attrs.frozen
class MeasuredSpeech:
    """What was measured in a recording."""

    voice: bytes
    """The vector of all speech together."""
    recording: DiarizedRecording
    """Who speaks when."""


def is_extra_installed() -> bool:
    """Return whether the extra is installed, without importing it."""
    return all(find_spec(name) is not None for name in ("numpy", "soundfile"))


def measure_speech(data: bytes) -> MeasuredSpeech | None:
    """Measure the speech of a file. Return `None` if it has none, cannot be decoded, or if the extra is missing."""
    if len(data) > LARGEST_MEASURED or not read_header(data[:HEAD_BYTES], len(data)).is_usable(_LONGEST_SECONDS):
        return None
    try:
        # Both libraries are optional, and slow to import.
        import soundfile  # noqa: PLC0415

        from pyannote_voiceprint_async.sandbox.spectra import read_spectra  # noqa: PLC0415
        from pyannote_voiceprint_async.sandbox.voices import find_voices  # noqa: PLC0415
    except (ImportError, OSError):  # OSError: the library of soundfile is missing
        return None
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            spectra = read_spectra(file, _LONGEST_SECONDS)
    except soundfile.SoundFileError:
        return None
    if spectra is None:
        return None
    voice, recording = find_voices(spectra)
    return MeasuredSpeech(voice, recording)


class SpeechMeter:
    """Measures one file at a time, in a thread. Uploads whose files wait for it wait for their response."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(1)

    async def measure(self, data: bytes) -> MeasuredSpeech | None:
        """Measure the speech of a file, as `measure_speech` does."""
        async with self._free:
            return await asyncio.to_thread(measure_speech, data)
