"""Audio that is open for reading: as floats in blocks, from any sample on, never whole in memory.

It imports soundfile, so it is imported inside functions only.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, TypeAlias

from pyannote_voiceprint_async.errors import MediaError

from .libraries import NDArray, np, sf
from .mp3_header import mp3_length
from .ogg_pages import is_joined
from .source import AudioSource, Door, foreign_name, opened_door
from .wav_header import wav_length
from .waveform import waveform_of

__all__ = ["Recording", "opened"]

Block: TypeAlias = NDArray[np.float64]

# What comes before damage in a block is lost with it, so blocks are small.
_BLOCK_SAMPLES = 32 * 1024
# libsndfile's number of frames where a FLAC file does not tell it.
_UNKNOWN = 2**62
# Error codes of libsndfile: no such format, no such file.
_NO_AUDIO = (1, 7)
# What a decoder may leave out at both ends.
_SLACK_SECONDS = 0.1
# MP3 frames borrow bits from those before them: where decoding begins, the first ones are noise.
_RUN_UP_SECONDS = 1.0
# Without a length, the end of an MP3 file is an error, and takes its block along: one frame is little.
_MP3_BLOCK_SAMPLES = 1152
# More than that behind the last frame of a FLAC file is no tag.
_PADDING = 16 * 1024


class Recording(Protocol):
    """What both files and waveforms are."""

    sample_rate: int
    channels: int
    format: str
    subtype: str
    frames: int | None
    """Samples of each channel, as far as that is known without decoding."""
    told_seconds: float | None
    """What the header tells, if anything."""
    is_truncated: bool
    """Whether it is known to end before it should; reading may show it."""
    is_unclosed: bool
    """Whether its header was never finished."""

    def blocks(self, first: int = 0, count: int | None = None) -> Iterator[Block]:
        """Give it in blocks of shape (frames, channels) from a sample on. It stops early where it ends or is broken."""
        ...


@contextmanager
def opened(source: AudioSource) -> Iterator[Recording]:
    """Open audio of any kind.

    Raises:
        MediaError: it cannot be opened, or is no audio that can be read here.
    """
    if isinstance(source, Mapping):
        yield waveform_of(source)
        return
    with opened_door(source) as door, _decoder(door) as decoder:
        yield _File(door, decoder)


class _Decoder(sf.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A decoder that reads and does nothing else.

    soundfile seeks after each read to where it is anyway. At the end of a FLAC file that does not know its length,
    or lies about it, that fails, and takes the last block along.
    """

    def seekable(self) -> bool:
        return False


class _File:
    def __init__(self, door: Door, decoder: _Decoder) -> None:
        self._door = door
        self._decoder = decoder
        self.sample_rate = int(decoder.samplerate)
        self.channels = int(decoder.channels)
        self.format = str(decoder.format)
        self.subtype = str(decoder.subtype)
        frames = int(decoder.frames)
        self.frames = frames if frames < _UNKNOWN and not door.seems_longer else None
        self.told_seconds = None if self.frames is None else self.frames / self.sample_rate
        self.is_truncated = self.is_unclosed = False
        self._is_mp3 = self.format == "MP3"
        self._can_seek = bool(sf.SoundFile.seekable(decoder)) and (self._is_mp3 or self.frames is not None)
        # So many must come, or it is truncated.
        self._frames_told = self.frames
        place = door.tell()
        self._compare_with_header()
        door.seek(place)

    def blocks(self, first: int = 0, count: int | None = None) -> Iterator[Block]:
        at = self._go_to(first)
        # Behind the last sample there may be a tag, which a decoder takes for damage.
        end = self.frames if count is None else first + count
        while end is None or at < end:
            block = self._read(None if end is None else end - at)
            if not len(block):
                break
            # What comes before `first` is there only where nobody can seek, or a run-up is needed.
            if at + len(block) > first:
                yield block[max(0, first - at) :]
            at += len(block)
        if self._frames_told is not None and at < (self._frames_told if count is None else first + count):
            self.is_truncated = True
        elif self.format == "FLAC" and at == self._frames_told:
            self.is_unclosed = self._door.size - self._door.furthest > _PADDING

    def _go_to(self, first: int) -> int:
        if self._can_seek:
            run_up = round(_RUN_UP_SECONDS * self.sample_rate) if self._is_mp3 else 0
            try:
                return int(self._decoder.seek(max(0, first - run_up)))
            except sf.SoundFileError:
                self._door.check()
        return self._begin_again()

    def _begin_again(self) -> int:
        """Begin anew without seeking, which not every format can."""
        self._decoder.close()
        self._door.seek(0)
        self._decoder = _decoder(self._door)
        return 0

    def _read(self, wanted: int | None) -> Block:
        samples = _MP3_BLOCK_SAMPLES if self._is_mp3 and self.frames is None else _BLOCK_SAMPLES
        most = max(1, samples // self.channels)
        try:
            block: Block = self._decoder.read(
                most if wanted is None else min(most, wanted), dtype="float64", always_2d=True
            )
        except sf.SoundFileError:
            # Damaged: what came before is good, and whoever counts sees that something is missing.
            block = np.empty((0, self.channels))
        self._door.check()
        return block

    def _compare_with_header(self) -> None:
        if self._is_mp3 and self.frames is not None:
            self._frames_told = self.frames - round(_SLACK_SECONDS * self.sample_rate)
            told = mp3_length(self._door)
            self.is_unclosed = told is not None and told.goes_on
        if self.format == "OGG":
            self.is_unclosed = is_joined(self._door)
        length = wav_length(self._door)
        if length is None or not length.there:
            return
        self.is_truncated, self.is_unclosed = length.is_truncated, length.is_unclosed
        if self.is_truncated and self.told_seconds is not None:
            self.told_seconds *= length.told / length.there


def _decoder(door: Door) -> _Decoder:
    decoder = _decoder_at_beginning(door)
    if decoder.format != "MP3" or door.seems_longer:
        return decoder
    place = door.tell()
    if mp3_length(door) is None:
        decoder.close()
        door.seem_longer()
        return _decoder_at_beginning(door)
    door.seek(place)
    return decoder


def _decoder_at_beginning(door: Door) -> _Decoder:
    foreign = foreign_name(door)
    door.seek(0)
    try:
        return _Decoder(door)
    except sf.LibsndfileError as exc:
        door.check()
        raise MediaError(_refusal(foreign, exc)) from None


def _refusal(foreign: str | None, exc: sf.LibsndfileError) -> str:
    if foreign:
        return f"The audio is {foreign}, which cannot be looked into here. Convert it: ffmpeg -i FILE file.flac"
    # MP3 is recognised by two bytes; where no frame follows, libsndfile says that there is no such file.
    if exc.code in _NO_AUDIO:
        return "The file is no audio: it is in none of the formats that are known. Give WAV, FLAC, MP3, Ogg or AIFF."
    reason = exc.error_string.strip().rstrip(".").lower()
    return f"The audio cannot be read, because its header is damaged ({reason}). Export or copy it anew."
