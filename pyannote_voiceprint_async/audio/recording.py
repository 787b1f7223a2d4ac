"""Audio that is open for reading: as floats in blocks, from any sample on, never whole in memory.

It imports soundfile, so it is imported inside functions only.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import NamedTuple, Protocol, TypeAlias

from pyannote_voiceprint_async.errors import MediaError

from .contents import Contents, codec_of, contents_of
from .joined import is_joined
from .libraries import NDArray, np, sf
from .mp3_frames import goes_on, seconds_of, told_frames
from .source import AudioSource, opened_door
from .verdict import JOINED
from .wav_header import wav_length
from .waveform import waveform_of

__all__ = ["Foreign", "OpenRecording", "foreign_contents", "opened"]

Block: TypeAlias = NDArray[np.float64]

# What comes before damage in a block is lost with it, so blocks are small.
_BLOCK_SAMPLES = 32 * 1024
# libsndfile's number of frames where a FLAC file does not tell it.
_UNKNOWN = 2**62
# Error codes of libsndfile: no such format, no such file.
_NO_AUDIO = (1, 7)
# What a decoder may leave out at both ends.
_SLACK_SECONDS = 0.1
# What a decoder may leave out between the frames of an MP3 file.
_MP3_SLACK_SECONDS = 0.2
# MP3 frames borrow bits from those before them: where decoding begins, the first ones are noise.
_RUN_UP_SECONDS = 1.0
# Without a length, the end of an MP3 file is an error, and takes its block along: one frame is little.
_MP3_BLOCK_SAMPLES = 1152
# More bytes than that behind the last sample are no tag.
_PADDING = 16 * 1024
# Formats without a signature: a second file is found by the size of the first one alone.
_UNSIGNED, _UNSIGNED_PADDING = {"MAT4", "MAT5", "AVR", "HTK"}, 4096
_WIDTHS = {
    "PCM_S8": 1, "PCM_U8": 1, "ULAW": 1, "ALAW": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8,
}  # fmt: skip


class OpenRecording(Protocol):
    """What both files and waveforms are."""

    sample_rate: int
    channels: int
    format: str
    subtype: str
    frames: int | None
    """Samples of each channel, as far as that is known without decoding."""
    header_seconds: float | None
    """What the header tells, if anything."""
    is_truncated: bool
    """Whether it is known to end before it should; reading may show it."""

    @property
    def is_unclosed(self) -> bool:
        """Whether it goes on where its header says that it ends."""
        ...

    @property
    def is_joined(self) -> bool:
        """Whether it goes on with another file, as far as that is known before it was read to its end."""
        ...

    def blocks(self, first: int = 0, count: int | None = None) -> Iterator[Block]:
        """Give it in blocks of shape (frames, channels) from a sample on. It stops early where it ends or is broken."""
        ...


@contextmanager
def opened(source: AudioSource) -> Iterator[OpenRecording]:
    """Open audio of any kind.

    Raises:
        MediaError: it cannot be opened, or is no audio that can be read here.
    """
    if isinstance(source, Mapping):
        yield waveform_of(source)
        return
    with opened_door(source) as door:
        contents = contents_of(door)
        with _decoder(contents) as decoder:
            yield _File(contents, decoder)


class Foreign(NamedTuple):
    """A file whose format or codec the API may read, and libsndfile cannot."""

    name: str
    is_joined: bool
    """Whether another file of the same kind begins behind it."""


def foreign_contents(source: object) -> Foreign | None:
    """Return what a file is that cannot be read here; None where it can, or is damaged or no audio.

    Raises:
        MediaError: the file cannot be opened.
    """
    with opened_door(source) as door:
        contents = contents_of(door)
        own = contents.format
        if own is None:
            return None
        if not own.is_readable:
            return Foreign(own.name, is_joined(contents.file, own))
        try:
            _Decoder(contents.audio).close()
        except sf.LibsndfileError:
            door.check()
            codec, is_several = codec_of(contents), is_joined(contents.file, own)
            return Foreign(codec or own.name, is_several) if codec or is_several else None
    return None


class _Decoder(sf.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A decoder that reads and does nothing else.

    soundfile seeks after each read to where it is anyway. At the end of a FLAC file that does not know its length,
    or lies about it, that fails, and takes the last block along.
    """

    def seekable(self) -> bool:
        return False


class _File:
    def __init__(self, contents: Contents, decoder: _Decoder) -> None:
        self._contents = contents
        self._door = contents.audio
        self._decoder = decoder
        self.sample_rate = int(decoder.samplerate)
        self.channels = int(decoder.channels)
        self.format = str(decoder.format)
        self.subtype = str(decoder.subtype)
        frames = int(decoder.frames)
        self.frames = frames if frames < _UNKNOWN and not self._door.seems_longer else None
        self.header_seconds = None if self.frames is None else self.frames / self.sample_rate
        self.is_truncated = self._goes_on = False
        self._is_mp3 = self.format == "MP3"
        self._can_seek = bool(sf.SoundFile.seekable(decoder)) and (self._is_mp3 or self.frames is not None)
        # So many must come, or it is truncated.
        self._frames_told = self.frames
        # Where it ended, once it was read that far.
        self._end: int | None = None
        self._compare_with_header()

    @property
    def is_unclosed(self) -> bool:
        return self._goes_on or self.is_joined

    @property
    def is_joined(self) -> bool:
        return self._is_another_behind or self._is_more_than_decoded

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
        if count is None:
            self._end = at
        if self._frames_told is not None and at < (self._frames_told if count is None else first + count):
            self.is_truncated = True
        elif at == self._frames_told:
            self._goes_on = self._goes_on or self._has_more_than(at)

    def _has_more_than(self, frames: int) -> bool:
        """Whether more follows the last sample that the header states than tags and padding."""
        if self.format == "FLAC":
            return self._door.size - self._door.furthest > _PADDING
        width = _WIDTHS.get(self.subtype, 0) if self.format in _UNSIGNED else 0
        return width > 0 and self._door.size - frames * self.channels * width > _UNSIGNED_PADDING

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
        self._decoder = _decoder_at_beginning(self._contents)
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
        length = wav_length(self._contents.file)
        if length is None or not length.there:
            return
        self.is_truncated, self._goes_on = length.is_truncated, length.is_unclosed
        if self.is_truncated and self.header_seconds is not None:
            self.header_seconds *= length.told / length.there

    @cached_property
    def _is_another_behind(self) -> bool:
        """Whether a file begins behind this one, or MP3 frames that its first one does not count."""
        contents = self._contents
        if is_joined(contents.file, contents.format):
            return True
        told = told_frames(contents.audio.part(0)) if self._is_mp3 else None
        return told is not None and goes_on(contents.audio.part(0), told)

    @cached_property
    def _mp3_seconds(self) -> float:
        return seconds_of(self._contents.audio.part(0))

    @property
    def _is_more_than_decoded(self) -> bool:
        """Whether a decoder stopped before the last frame of an MP3 file that states no length."""
        is_known = self._is_mp3 and self.frames is None and self._end is not None
        return is_known and self._mp3_seconds > (self._end or 0) / self.sample_rate + _MP3_SLACK_SECONDS


def _decoder(contents: Contents) -> _Decoder:
    decoder = _decoder_at_beginning(contents)
    door = contents.audio
    if decoder.format != "MP3" or door.seems_longer or told_frames(door.part(0)) is not None:
        return decoder
    decoder.close()
    door.seem_longer()
    return _decoder_at_beginning(contents)


def _decoder_at_beginning(contents: Contents) -> _Decoder:
    door = contents.audio
    if contents.format is not None and not contents.format.is_readable:
        raise MediaError(_foreign(contents.format.name))
    door.seek(0)
    try:
        return _Decoder(door)
    except sf.LibsndfileError as exc:
        door.check()
        foreign = codec_of(contents)
        if contents.format is not None and is_joined(contents.file, contents.format):
            raise MediaError(f"The audio {JOINED.message}.") from None
        raise MediaError(_foreign(foreign) if foreign else _refusal(exc)) from None


def _foreign(name: str) -> str:
    return f"The audio is {name}, which cannot be read here. Convert it: ffmpeg -i FILE file.flac"


def _refusal(exc: sf.LibsndfileError) -> str:
    # MP3 is recognized by two bytes; where no frame follows, libsndfile reports that there is no such file.
    if exc.code in _NO_AUDIO:
        return "The file is in none of the audio formats that are recognized here. Give WAV, FLAC, MP3, Ogg or AIFF."
    reason = exc.error_string.strip().rstrip(".").lower()
    return f"The audio cannot be read, because its header is damaged ({reason}). Export or copy it anew."
