"""An open recording: its samples as floats in blocks, from any sample on, never all of them in memory.

It imports soundfile, so import it inside functions only.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import NamedTuple, Protocol, TypeAlias

from pyannote_voiceprint_async.errors import MediaError

from .contents import Contents, parse_contents, unsupported_codec
from .finding import JOINED
from .joined import is_joined
from .libraries import NDArray, np, sf
from .mp3_frames import has_extra_frames, stated_frames, total_seconds
from .source import AudioSource, open_slice
from .wav_header import data_length
from .waveform import parse_waveform

__all__ = ["OpenRecording", "UnsupportedFormat", "find_unsupported_format", "open_recording"]

Block: TypeAlias = NDArray[np.float64]

# Damage loses the samples before it in the same block, so blocks are small.
_BLOCK_SAMPLES = 32 * 1024
# libsndfile reports at least this many frames where a FLAC file does not state its length.
_UNKNOWN_FRAMES = 2**62
# Error codes of libsndfile: unknown format, no such file.
_UNKNOWN_FORMAT_CODES = (1, 7)
# A decoder may skip this much at both ends of an MP3 file.
_MP3_END_SLACK_SECONDS = 0.1
# A decoder may skip this much between the frames of an MP3 file.
_MP3_INNER_SLACK_SECONDS = 0.2
# MP3 frames use bits of the frames before them: where decoding begins, the first frames are noise.
_MP3_RUN_UP_SECONDS = 1.0
# Without a stated length, decoding ends with an error that loses the current block: a block of one frame loses little.
_MP3_BLOCK_SAMPLES = 1152
# More bytes than this after the last sample of a FLAC file are not a tag.
_FLAC_PADDING = 16 * 1024
# In these formats without a signature, a second file shows only in the size of the file.
_FORMATS_WITHOUT_SIGNATURE, _UNSIGNED_PADDING = {"MAT4", "MAT5", "AVR", "HTK"}, 4096
_SAMPLE_BYTES = {
    "PCM_S8": 1, "PCM_U8": 1, "ULAW": 1, "ALAW": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8,
}  # fmt: skip


class OpenRecording(Protocol):
    """The interface of open files and of waveforms."""

    sample_rate: int
    channels: int
    format: str
    subtype: str
    frames: int | None
    """Samples of each channel; None where only decoding can find out."""
    header_seconds: float | None
    """The length that the header states; None where it states none."""
    is_truncated: bool
    """Whether the recording ends before its stated end. In some formats only reading detects it."""

    @property
    def is_unclosed(self) -> bool:
        """Whether the recording continues past its stated end."""
        ...

    @property
    def is_joined(self) -> bool:
        """Whether another file follows. In some formats only reading to the end detects it."""
        ...

    def blocks(self, first: int = 0, count: int | None = None) -> Iterator[Block]:
        """Yield blocks of shape (frames, channels), up to damage or the end of the recording.

        Args:
            first: the first sample.
            count: number of samples; None is up to the end.
        """
        ...


@contextmanager
def open_recording(source: AudioSource) -> Iterator[OpenRecording]:
    """Open audio of any kind.

    Raises:
        TypeError: `source` is a str.
        MediaError: the audio cannot be opened, or libsndfile cannot decode it.
    """
    if isinstance(source, Mapping):
        yield parse_waveform(source)
        return
    with open_slice(source) as whole:
        contents = parse_contents(whole)
        with _open_decoder(contents) as decoder:
            yield _FileRecording(contents, decoder)


class UnsupportedFormat(NamedTuple):
    """A format or codec that libsndfile cannot decode and the API may be able to decode."""

    name: str
    is_joined: bool
    """Whether another file of the same format follows."""


def find_unsupported_format(source: object) -> UnsupportedFormat | None:
    """Return the format of a file that libsndfile cannot decode; None where it can, or where the file is no audio.

    Raises:
        TypeError: `source` is a str.
        MediaError: the file cannot be opened.
    """
    with open_slice(source) as whole:
        contents = parse_contents(whole)
        if contents.format is None:
            return None
        if not contents.format.is_readable:
            return UnsupportedFormat(contents.format.name, is_joined(contents.file, contents.format))
        try:
            _Decoder(contents.audio).close()
        except sf.LibsndfileError:
            contents.audio.raise_read_error()
            codec, has_another = unsupported_codec(contents), is_joined(contents.file, contents.format)
            return UnsupportedFormat(codec or contents.format.name, has_another) if codec or has_another else None
    return None


class _Decoder(sf.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A decoder that does not seek after each read.

    soundfile seeks to the current position after each read of a seekable file. At the end of a FLAC file with a
    missing or wrong length that fails, and the last block is lost.
    """

    def seekable(self) -> bool:
        return False


class _FileRecording:
    def __init__(self, contents: Contents, decoder: _Decoder) -> None:
        self._contents = contents
        self._audio = contents.audio
        self._decoder = decoder
        self.sample_rate = int(decoder.samplerate)
        self.channels = int(decoder.channels)
        self.format = str(decoder.format)
        self.subtype = str(decoder.subtype)
        frames = int(decoder.frames)
        self.frames = frames if frames < _UNKNOWN_FRAMES and not self._audio.is_inflated else None
        self.header_seconds = None if self.frames is None else self.frames / self.sample_rate
        self.is_truncated = self._continues = False
        self._is_mp3 = self.format == "MP3"
        self._can_seek = bool(sf.SoundFile.seekable(decoder)) and (self._is_mp3 or self.frames is not None)
        # With fewer decoded frames, the recording is truncated.
        self._expected_frames = self.frames
        # The number of decoded frames, after reading to the end.
        self._decoded_frames: int | None = None
        self._compare_with_header()

    @property
    def is_unclosed(self) -> bool:
        return self._continues or self.is_joined

    @property
    def is_joined(self) -> bool:
        return self._is_followed_by_file or self._has_undecoded_mp3_frames

    def blocks(self, first: int = 0, count: int | None = None) -> Iterator[Block]:
        at = self._seek(first)
        # Never read past the last sample: a decoder would report a tag after it as damage.
        end = self.frames if count is None else first + count
        while end is None or at < end:
            block = self._read(None if end is None else end - at)
            if not len(block):
                break
            # Samples before `first` come where the format cannot seek, and from the run-up of MP3.
            if at + len(block) > first:
                yield block[max(0, first - at) :]
            at += len(block)
        if count is None:
            self._decoded_frames = at
        if self._expected_frames is not None and at < (self._expected_frames if count is None else first + count):
            self.is_truncated = True
        elif at == self._expected_frames:
            self._continues = self._continues or self._continues_after(at)

    def _continues_after(self, frames: int) -> bool:
        """Return whether more than tags and padding follows the last stated sample."""
        if self.format == "FLAC":
            return self._audio.size - self._audio.furthest_read > _FLAC_PADDING
        sample_bytes = _SAMPLE_BYTES.get(self.subtype, 0) if self.format in _FORMATS_WITHOUT_SIGNATURE else 0
        return sample_bytes > 0 and self._audio.size - frames * self.channels * sample_bytes > _UNSIGNED_PADDING

    def _seek(self, first: int) -> int:
        """Move to a sample, or as close before it as the format allows, and return the new position."""
        if self._can_seek:
            run_up = round(_MP3_RUN_UP_SECONDS * self.sample_rate) if self._is_mp3 else 0
            try:
                return int(self._decoder.seek(max(0, first - run_up)))
            except sf.SoundFileError:
                self._audio.raise_read_error()
        self._decoder.close()
        self._decoder = _decoder_at_start(self._contents)
        return 0

    def _read(self, wanted: int | None) -> Block:
        samples = _MP3_BLOCK_SAMPLES if self._is_mp3 and self.frames is None else _BLOCK_SAMPLES
        most = max(1, samples // self.channels)
        try:
            block: Block = self._decoder.read(
                most if wanted is None else min(most, wanted), dtype="float64", always_2d=True
            )
        except sf.SoundFileError:
            # Damage ends the recording here: `blocks` then counts too few frames and marks it truncated.
            block = np.empty((0, self.channels))
        self._audio.raise_read_error()
        return block

    def _compare_with_header(self) -> None:
        if self._is_mp3 and self.frames is not None:
            self._expected_frames = self.frames - round(_MP3_END_SLACK_SECONDS * self.sample_rate)
        length = data_length(self._contents.file)
        if length is None or not length.present:
            return
        self.is_truncated, self._continues = length.is_truncated, length.is_unclosed
        if self.is_truncated and self.header_seconds is not None:
            # libsndfile has reduced the stated length to what is present.
            self.header_seconds *= length.stated / length.present

    @cached_property
    def _is_followed_by_file(self) -> bool:
        """Whether another file follows, or MP3 frames that the first frame does not count."""
        contents = self._contents
        if is_joined(contents.file, contents.format):
            return True
        stated = stated_frames(contents.audio.subslice(0)) if self._is_mp3 else None
        return stated is not None and has_extra_frames(contents.audio.subslice(0), stated)

    @cached_property
    def _mp3_seconds(self) -> float:
        return total_seconds(self._contents.audio.subslice(0))

    @property
    def _has_undecoded_mp3_frames(self) -> bool:
        """Whether the decoder stopped before the last frame of an MP3 file that states no length."""
        if not self._is_mp3 or self.frames is not None or self._decoded_frames is None:
            return False
        return self._mp3_seconds > self._decoded_frames / self.sample_rate + _MP3_INNER_SLACK_SECONDS


def _open_decoder(contents: Contents) -> _Decoder:
    decoder = _decoder_at_start(contents)
    audio = contents.audio
    if decoder.format != "MP3" or audio.is_inflated or stated_frames(audio.subslice(0)) is not None:
        return decoder
    decoder.close()
    audio.inflate_size()
    return _decoder_at_start(contents)


def _decoder_at_start(contents: Contents) -> _Decoder:
    if contents.format is not None and not contents.format.is_readable:
        raise _unsupported_error(contents.format.name)
    contents.audio.seek(0)
    try:
        return _Decoder(contents.audio)
    except sf.LibsndfileError as exc:
        contents.audio.raise_read_error()
        if contents.format is not None and is_joined(contents.file, contents.format):
            raise MediaError(f"The audio {JOINED.message}.") from None
        codec = unsupported_codec(contents)
        raise (_unsupported_error(codec) if codec else _decoding_error(exc)) from None


def _unsupported_error(name: str) -> MediaError:
    return MediaError(f"The audio is {name}, which cannot be read here. Convert it: ffmpeg -i FILE file.flac")


def _decoding_error(exc: sf.LibsndfileError) -> MediaError:
    # MP3 is recognized by two bytes; where no frame follows, libsndfile reports that there is no such file.
    if exc.code in _UNKNOWN_FORMAT_CODES:
        return MediaError(
            "The file is in none of the audio formats that are recognized here. Use WAV, FLAC, MP3, Ogg or AIFF."
        )
    reason = exc.error_string.strip().rstrip(".").lower()
    return MediaError(f"The audio cannot be read: its header is damaged ({reason}). Export or copy the file again.")
