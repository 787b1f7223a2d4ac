"""What of a file libsndfile has to read: audio may be wrapped in tags, MP3 in WAV, and FLAC in Ogg."""

from typing import IO, NamedTuple, cast

from .formats import Format, begin_of, format_of
from .mp3_frames import first_frame
from .ogg_pages import OggFlac, codecs_of
from .source import Door
from .wav_header import chunks

__all__ = ["Contents", "codec_of", "contents_of"]

# WAV's numbers of codecs. The first ones are libsndfile's daily bread.
_PCM, _FLOAT, _ALAW, _ULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_PLAIN_WAV = {_PCM, _FLOAT, _ALAW, _ULAW}
_MPEG_LAYERS = {0x50, 0x55}
_WAV_CODECS = {
    0x0002: "MS ADPCM", 0x0022: "TrueSpeech", 0x0031: "GSM", 0x0042: "G.723.1", 0x0045: "G.726", 0x0050: "MPEG audio",
    0x0055: "MP3", 0x0064: "G.726", 0x00FF: "AAC", 0x0160: "WMA", 0x0161: "WMA", 0x0162: "WMA", 0x0163: "WMA",
    0x0270: "ATRAC3", 0x1600: "AAC", 0x1602: "AAC", 0x2000: "AC-3", 0x2001: "DTS", 0x566F: "Vorbis", 0x5756: "WavPack",
    0x704F: "Opus", 0xA109: "Speex", 0xF1AC: "FLAC",
}  # fmt: skip
_PLAIN_AIFF = {b"none", b"sowt", b"twos", b"raw ", b"in24", b"in32", b"fl32", b"fl64", b"ulaw", b"alaw"}
_PLAIN_OGG = (["Vorbis"], ["Opus"], ["FLAC"])
_LAST_PLAIN_AU, _ALAW_AU = 7, 27
# Something else than tags that may stand before the first frame of an MP3 file.
_BEFORE_MP3 = 64 * 1024


class Contents(NamedTuple):
    """A file, taken apart."""

    file: Door
    """The file behind its leading tags."""
    format: Format | None
    """Its format; None for MP3 and for what is not known."""
    audio: Door
    """What libsndfile reads."""


def contents_of(door: Door) -> Contents:
    """Take a file apart as far as libsndfile needs it."""
    file = door.part(begin_of(door))
    own = format_of(file)
    if own is None:
        first = first_frame(file, within=_BEFORE_MP3)
        return Contents(file, None, file.part(0 if first is None else first[0]))
    if own.name == "WAV" and _wav_codec(file) in _MPEG_LAYERS:
        data = next(((begin, size) for name, begin, size in chunks(file) if name == b"data"), None)
        if data is not None:
            return Contents(file, own, file.part(data[0], min(data[1], file.size - data[0])))
    if own.name == "Ogg" and codecs_of(file) == ["FLAC"]:
        return Contents(file, own, Door(cast("IO[bytes]", OggFlac(file))))
    return Contents(file, own, file.part(0))


def codec_of(contents: Contents) -> str | None:
    """Return the name of the codec inside a format that libsndfile reads; None where it is one that it reads, too.

    So a file that libsndfile refuses is either damaged (None) or beyond libsndfile (a name).
    """
    name = "" if contents.format is None else contents.format.name
    codec = _CODECS[name](contents.file) if name in _CODECS else None
    return None if codec is None else f"{name} with {codec}"


def _wav(file: Door) -> str | None:
    codec = _wav_codec(file)
    if not codec or codec in _PLAIN_WAV:
        return None
    return _WAV_CODECS.get(codec, f"codec 0x{codec:04X}")


def _wav_codec(file: Door) -> int | None:
    for name, begin, size in chunks(file):
        if name == b"fmt ":
            file.seek(begin)
            data = file.read(min(size, 26))
            # The codec of the extensible form stands behind all other numbers.
            codec = int.from_bytes(data[:2], "little")
            return int.from_bytes(data[24:26], "little") if codec == _EXTENSIBLE else codec
    return None


def _aiff(file: Door) -> str | None:
    for name, begin, size in chunks(file):
        # Without compression the chunk ends before the codec.
        if name == b"COMM" and size >= 22:  # noqa: PLR2004
            file.seek(begin + 18)
            codec = file.read(4)
            return None if codec.lower() in _PLAIN_AIFF else _shown(codec)
    return None


def _caf(file: Door) -> str | None:
    # After the file's header of 8 bytes and the chunk's of 12: the sample rate, then the codec.
    file.seek(28)
    codec = file.read(4)
    return None if codec == b"lpcm" else _shown(codec)


def _au(file: Door) -> str | None:
    file.seek(0)
    head = file.read(16)
    codec = int.from_bytes(head[12:16], "big" if head[:4] == b".snd" else "little")
    return None if codec <= _LAST_PLAIN_AU or codec == _ALAW_AU else f"codec {codec}"


def _w64(file: Door) -> str | None:
    # The chunk `fmt ` follows the file's header of 40 bytes in what is written today.
    file.seek(64)
    codec = int.from_bytes(file.read(2), "little")
    return None if codec in {*_PLAIN_WAV, _EXTENSIBLE} else _WAV_CODECS.get(codec, f"codec 0x{codec:04X}")


def _ogg(file: Door) -> str | None:
    codecs = codecs_of(file)
    return None if codecs in _PLAIN_OGG else " and ".join(codecs) or None


def _shown(codec: bytes) -> str:
    return codec.decode("ascii", "replace").strip() if codec.isascii() and codec.strip() else "an unknown codec"


_CODECS = {"WAV": _wav, "AIFF": _aiff, "CAF": _caf, "AU": _au, "W64": _w64, "Ogg": _ogg}
