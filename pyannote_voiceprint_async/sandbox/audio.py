"""Detection of audio files and their duration from the header alone, without decoding.

The duration of WAV (RIFF) and FLAC is read and checked. Ogg, MP3, MP4/M4A, WebM/Matroska, AIFF, AU and rarer formats
are recognized by their first bytes, and accepted with any duration.
"""

import struct
from collections.abc import Callable

import attrs

# The longest audio of a voiceprint and of an identification.
LONGEST_VOICE, LONGEST_RECORDING = 30.0, 24 * 3600.0

# Cover art and broadcast metadata may precede the samples. One MiB is enough to find the header behind them.
HEAD_BYTES = 1024 * 1024

# The part of the `fmt ` chunk that contains the byte rate, and the end of the fixed part of STREAMINFO in a FLAC file.
_FMT_BYTES = 16
_STREAMINFO_END = 26

_MP3_MASK, _MP3_LAYER_III = 0xFFE6, 0xFFE2


@attrs.frozen
class AudioHeader:
    """What the first bytes of a file show of its audio."""

    is_audio: bool
    """Whether the file is audio, and not empty or damaged as far as the header shows."""
    seconds: float | None = None
    """Duration; `None` where the header does not contain it."""

    def is_usable(self, longest: float) -> bool:
        """Return whether the API accepts the file for an operation with this limit in seconds."""
        return self.is_audio and (self.seconds is None or self.seconds <= longest)


def read_header(head: bytes, size: int) -> AudioHeader:
    """Return the header of a file.

    Args:
        head: The first bytes of the file, at most `HEAD_BYTES`.
        size: Length of the whole file in bytes.
    """
    for matches, read in _WITH_DURATION:
        if matches(head):
            return read(head, size)
    return AudioHeader(any(matches(head) for matches in _WITHOUT_DURATION))


def _with_duration(seconds: float) -> AudioHeader:
    return AudioHeader(seconds > 0, seconds)


_DAMAGED = AudioHeader(is_audio=False)


def _is_wav(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WAVE"


def _is_flac(head: bytes) -> bool:
    return head[:4] == b"fLaC"


def _read_wav(head: bytes, size: int) -> AudioHeader:
    """Compute the duration from the byte rate of `fmt ` and the size of `data`, for any format tag."""
    byte_rate, offset = 0, 12
    while offset + 8 <= len(head):
        name, length = struct.unpack_from("<4sI", head, offset)
        offset += 8
        if name == b"fmt " and length >= _FMT_BYTES and offset + _FMT_BYTES <= len(head):
            byte_rate = struct.unpack_from("<I", head, offset + 8)[0]
        if name == b"data":
            # A streaming writer leaves 0xFFFFFFFF as the size: the file is no longer than what was received.
            return _with_duration(min(length, size - offset) / byte_rate) if byte_rate else _DAMAGED
        offset += length + length % 2
    return _DAMAGED


def _read_flac(head: bytes, _size: int) -> AudioHeader:
    """Compute the duration from STREAMINFO: 20 bits of sample rate, 8 of channels and depth, 36 of sample count."""
    if len(head) < _STREAMINFO_END or head[4] & 0x7F:  # the first block is not STREAMINFO
        return _DAMAGED
    bits = int.from_bytes(head[18:_STREAMINFO_END], "big")
    rate, samples = bits >> 44, bits & (1 << 36) - 1
    if not rate:
        return _DAMAGED
    # A count of 0 means that the encoder did not know the length.
    return _with_duration(samples / rate) if samples else AudioHeader(is_audio=True)


def _starts_with(*magics: bytes, at: int = 0) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(magics, at)


def _is_aiff(head: bytes) -> bool:
    return head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}


def _is_mp3_frame(head: bytes) -> bool:
    """Match eleven sync bits and layer III, but not FF FE, the byte order mark of UTF-16 text."""
    return int.from_bytes(head[:2], "big") & _MP3_MASK == _MP3_LAYER_III


_WITH_DURATION = ((_is_wav, _read_wav), (_is_flac, _read_flac))

_WITHOUT_DURATION = (
    _starts_with(b"OggS"),
    _starts_with(b"ID3"),
    _is_mp3_frame,
    _starts_with(b"ftyp", at=4),
    _starts_with(b"\x1a\x45\xdf\xa3"),
    _is_aiff,
    _starts_with(b".snd"),
    # CAF, RF64, Wave64, ASF/WMA, AMR, WavPack, AVI, AC-3, MPEG program stream, QuickTime.
    _starts_with(b"caff", b"RF64", b"riff\x2e\x91\xcf\x11", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"#!AMR", b"wvpk"),
    _starts_with(b"AVI ", at=8),
    _starts_with(b"\x0b\x77", b"\x00\x00\x01\xba"),
    _starts_with(b"moov", b"mdat", b"wide", at=4),
)
