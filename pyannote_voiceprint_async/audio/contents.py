"""Find the bytes of a file that libsndfile has to read: audio may follow tags, MP3 may be in WAV, and FLAC in Ogg."""

from typing import NamedTuple

from .formats import Format, audio_start, detect_format
from .mp3_frames import find_first_frame
from .ogg_pages import OggFlac, stream_codecs
from .source import FileSlice
from .wav_header import iter_chunks

__all__ = ["Contents", "parse_contents", "unsupported_codec"]

# Codec numbers of WAV. libsndfile reads the first four.
_PCM, _FLOAT, _ALAW, _ULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_READABLE_WAV = {_PCM, _FLOAT, _ALAW, _ULAW}
_MPEG_LAYERS = {0x50, 0x55}
_WAV_CODECS = {
    0x0002: "MS ADPCM", 0x0022: "TrueSpeech", 0x0031: "GSM", 0x0042: "G.723.1", 0x0045: "G.726", 0x0050: "MPEG audio",
    0x0055: "MP3", 0x0064: "G.726", 0x00FF: "AAC", 0x0160: "WMA", 0x0161: "WMA", 0x0162: "WMA", 0x0163: "WMA",
    0x0270: "ATRAC3", 0x1600: "AAC", 0x1602: "AAC", 0x2000: "AC-3", 0x2001: "DTS", 0x566F: "Vorbis", 0x5756: "WavPack",
    0x704F: "Opus", 0xA109: "Speex", 0xF1AC: "FLAC",
}  # fmt: skip
_READABLE_AIFF = {b"none", b"sowt", b"twos", b"raw ", b"in24", b"in32", b"fl32", b"fl64", b"ulaw", b"alaw"}
_READABLE_OGG = (["Vorbis"], ["Opus"], ["FLAC"])
_LAST_READABLE_AU, _ALAW_AU = 7, 27
# Up to this many bytes of other data than tags are skipped before the first frame of an MP3 file.
_LONGEST_MP3_PREFIX = 64 * 1024


class Contents(NamedTuple):
    """The parts of a file."""

    file: FileSlice
    """The file after its leading tags."""
    format: Format | None
    """Its format; None for MP3 and unknown formats."""
    audio: FileSlice
    """The bytes that libsndfile reads."""


def parse_contents(whole: FileSlice) -> Contents:
    """Find the format of a file and the bytes that libsndfile has to read."""
    file = whole.subslice(audio_start(whole))
    file_format = detect_format(file)
    if file_format is None:
        first = find_first_frame(file, within=_LONGEST_MP3_PREFIX)
        return Contents(file, None, file.subslice(0 if first is None else first[0]))
    if file_format.name == "WAV" and _wav_codec_number(file) in _MPEG_LAYERS:
        data = next(((begin, size) for name, begin, size in iter_chunks(file) if name == b"data"), None)
        if data is not None:
            return Contents(file, file_format, file.subslice(data[0], min(data[1], file.size - data[0])))
    if file_format.name == "Ogg" and stream_codecs(file) == ["FLAC"]:
        return Contents(file, file_format, FileSlice(OggFlac(file)))
    return Contents(file, file_format, file.subslice(0))


def unsupported_codec(contents: Contents) -> str | None:
    """Return format and codec where the codec is one that libsndfile cannot read, such as "WAV with WMA"; else None.

    It distinguishes the files that libsndfile rejects: without an unsupported codec, they are damaged.
    """
    name = "" if contents.format is None else contents.format.name
    codec = _UNSUPPORTED_CODECS[name](contents.file) if name in _UNSUPPORTED_CODECS else None
    return None if codec is None else f"{name} with {codec}"


# Each of these functions returns the name of the codec in one format, or None where libsndfile can read it.


def _wav_codec(file: FileSlice) -> str | None:
    number = _wav_codec_number(file)
    if not number or number in _READABLE_WAV:
        return None
    return _WAV_CODECS.get(number, f"codec 0x{number:04X}")


def _wav_codec_number(file: FileSlice) -> int | None:
    for name, begin, size in iter_chunks(file):
        if name == b"fmt ":
            file.seek(begin)
            data = file.read(min(size, 26))
            number = int.from_bytes(data[:2], "little")
            # The extensible form has the codec number at the end.
            return int.from_bytes(data[24:26], "little") if number == _EXTENSIBLE else number
    return None


def _aiff_codec(file: FileSlice) -> str | None:
    for name, begin, size in iter_chunks(file):
        # In uncompressed AIFF, the chunk ends before the codec.
        if name == b"COMM" and size >= 22:  # noqa: PLR2004
            file.seek(begin + 18)
            codec = file.read(4)
            return None if codec.lower() in _READABLE_AIFF else _printable(codec)
    return None


def _caf_codec(file: FileSlice) -> str | None:
    # The codec follows the file header (8 bytes), the chunk header (12) and the sample rate (8).
    file.seek(28)
    codec = file.read(4)
    return None if codec == b"lpcm" else _printable(codec)


def _au_codec(file: FileSlice) -> str | None:
    file.seek(0)
    head = file.read(16)
    number = int.from_bytes(head[12:16], "big" if head[:4] == b".snd" else "little")
    return None if number <= _LAST_READABLE_AU or number == _ALAW_AU else f"codec {number}"


def _w64_codec(file: FileSlice) -> str | None:
    # Current writers put the `fmt ` chunk (header of 24 bytes) directly after the file header (40 bytes).
    file.seek(64)
    number = int.from_bytes(file.read(2), "little")
    return None if number in {*_READABLE_WAV, _EXTENSIBLE} else _WAV_CODECS.get(number, f"codec 0x{number:04X}")


def _ogg_codec(file: FileSlice) -> str | None:
    codecs = stream_codecs(file)
    return None if codecs in _READABLE_OGG else " and ".join(codecs) or None


def _printable(codec: bytes) -> str:
    return codec.decode("ascii", "replace").strip() if codec.isascii() and codec.strip() else "an unknown codec"


_UNSUPPORTED_CODECS = {
    "WAV": _wav_codec,
    "AIFF": _aiff_codec,
    "CAF": _caf_codec,
    "AU": _au_codec,
    "W64": _w64_codec,
    "Ogg": _ogg_codec,
}
