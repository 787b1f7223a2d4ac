"""The table of formats that are recognized by their first bytes.

MP3 is not in the table, because its frames have no reliable signature: see `mp3_frames`.
"""

import re
from functools import cache
from typing import NamedTuple

from .source import FileSlice
from .tags import skip_tags

__all__ = ["FORMATS", "Format", "audio_start", "detect_format"]


class Format(NamedTuple):
    """A format and its signature: the bytes that a file of this format begins with."""

    name: str
    offset: int
    """Bytes before `magic`."""
    magic: bytes
    rest: bytes = b""
    """A regular expression for the bytes after `magic`."""
    is_readable: bool = False
    """Whether libsndfile can read the format. It may still not know the codec inside."""
    is_distinct: bool = False
    """Whether the signature is too long to occur by chance: a second one in a file means that files were joined."""
    is_container: bool = False
    """Whether files of other formats may be embedded unchanged."""

    def matches(self, data: bytes, start: int = 0) -> bool:
        """Return whether a file of this format begins at index `start` of the data."""
        at = start + self.offset
        return data.startswith(self.magic, at) and _compiled(self.rest).match(data, at + len(self.magic)) is not None


@cache
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


def _readable(name: str, magic: bytes, rest: bytes = b"") -> Format:
    return Format(name, 0, magic, rest, is_readable=True, is_distinct=True)


def _unsupported(name: str, magic: bytes, rest: bytes = b"", *, offset: int = 0) -> Format:
    return Format(name, offset, magic, rest)


def _container(name: str, magic: bytes, rest: bytes = b"", *, offset: int = 0) -> Format:
    return Format(name, offset, magic, rest, is_distinct=True, is_container=True)


FORMATS = (
    # Formats that libsndfile reads.
    *(_readable("WAV", magic, rb".{4}WAVE") for magic in (b"RIFF", b"RIFX", b"RF64", b"BW64")),
    _readable("AIFF", b"FORM", rb".{4}AIF[FC]"),
    _readable("SVX", b"FORM", rb".{4}(?:8SVX|16SV)"),
    _readable("FLAC", b"fLaC", rb"[\x00\x80]\x00\x00\x22"),
    _readable("W64", b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"),
    _readable("CAF", b"caff\x00\x01", rb"..desc"),
    _readable("AU", b".snd\x00\x00", rb".{6}\x00\x00\x00[\x01-\x1d]\x00"),
    _readable("AU", b"dns.", rb".{2}\x00\x00.{4}[\x01-\x1d]\x00\x00\x00"),
    _readable("NIST", b"NIST_1A\n"),
    _readable("VOC", b"Creative Voice File\x1a"),
    # The first page of a stream, with a granule position of zero.
    _readable("Ogg", b"OggS\x00\x02", rb"\x00{8}"),
    Format("Ogg", 0, b"OggS\x00", is_readable=True),
    # Formats that libsndfile cannot read and the API may be able to read.
    _container("MOV", b"ftypqt  ", offset=4),
    _container("MP4/M4A", b"ftyp", rb"[\x20-\x7e]{4}.{4}[\x20-\x7e]{4}", offset=4),
    _unsupported("MP4/M4A", b"ftyp", offset=4),
    _unsupported("MOV", b"", rb"[\x00-\x08].{3}(?:moov|mdat|wide|free|skip|pnot)"),
    _container("WebM/Matroska", b"\x1a\x45\xdf\xa3", rb".{,48}?(?:webm|matroska)"),
    _unsupported("WebM/Matroska", b"\x1a\x45\xdf\xa3"),
    _container("WMA/ASF", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    _container("AVI", b"RIFF", rb".{4}AVI "),
    _unsupported("QCP", b"RIFF", rb".{4}QLCM"),
    _unsupported("xWMA", b"RIFF", rb".{4}XWMA"),
    _unsupported("AMR", b"#!AMR"),
    _unsupported("iLBC", b"#!iLBC"),
    _unsupported("EVRC", b"#!EVRC"),
    _unsupported("SMV", b"#!SMV"),
    _unsupported("SILK", b"", rb"\x02?#!SILK"),
    _unsupported("AAC", b"\xff", rb"[\xf0\xf1\xf8\xf9]"),
    _unsupported("AAC", b"ADIF"),
    _unsupported("AAC", b"", rb"V[\xe0-\xff].{6,1800}V[\xe0-\xff].{6,1800}V[\xe0-\xff]"),
    _unsupported("AC-3", b"\x0b\x77"),
    _unsupported("AC-3", b"\x77\x0b"),
    _unsupported("AC-4", b"\xac", rb"[\x40\x41]"),
    _unsupported("TrueHD", b"", rb"\xf8\x72\x6f[\xba\xbb]", offset=4),
    *(
        _unsupported("DTS", magic)
        for magic in (b"\x7f\xfe\x80\x01", b"\xfe\x7f\x01\x80", b"\x1f\xff\xe8\x00", b"\xff\x1f\x00\xe8", b"DTSHDHDR")
    ),
    _unsupported("FLV", b"FLV\x01"),
    _unsupported("MPEG-TS", b"\x47", rb".{187}\x47.{187}\x47"),
    _unsupported("MPEG-TS", b"\x47", rb".{191}\x47.{191}\x47", offset=4),
    _unsupported("MPEG-PS", b"\x00\x00\x01\xba"),
    _unsupported("MXF", b"\x06\x0e\x2b\x34"),
    _unsupported("WavPack", b"wvpk"),
    _unsupported("Monkey's Audio", b"MAC ", rb".[\x0c-\x10]"),
    _unsupported("True Audio", b"TTA", rb"[12]"),
    _unsupported("Musepack", b"MPCK"),
    _unsupported("Musepack", b"MP+", rb"[\x04-\x07\x14-\x17\x24-\x27]"),
    _unsupported("OptimFROG", b"OFR ", rb".{3}\x00"),
    _unsupported("Shorten", b"ajkg"),
    _unsupported("TAK", b"tBaK"),
    _unsupported("DSF", b"DSD ", rb"\x1c\x00"),
    _unsupported("DSDIFF", b"FRM8"),
    _unsupported("RealMedia", b".RMF"),
    _unsupported("RealAudio", b".ra\xfd"),
    _unsupported("ATRAC", b"", rb"(?:EA3|ea3)[\x01-\x03]"),
    _unsupported("VQF", b"TWIN", rb"\d{8}"),
    _unsupported("SMJPEG", b"\x00\x0aSMJPEG"),
    _unsupported("NUT", b"nut/multimedia container"),
    _unsupported("Codec 2", b"\xc0\xde\xc2"),
    _unsupported("LC3", b"\x1c\xcc"),
    _unsupported("Audible", b"\x57\x90\x75\x36", offset=4),
    _unsupported("ADX", b"\x80\x00", rb".{2}\x03\x12\x04[\x01-\x08]"),
    _unsupported("MAUD", b"FORM", rb".{4}MAUD"),
    _unsupported("HCOM", b"FSSD", rb".{59}HCOM", offset=65),
    _unsupported("SoX", b".SoX"),
    _unsupported("SoX", b"XoS."),
    _unsupported("AST", b"STRM", rb".{60}BLCK"),
    _unsupported("MMF", b"MMMD", rb".{4}CNTI"),
    _unsupported("S/PDIF", b"\x72\xf8\x1f\x4e"),
    _unsupported("WTV", b"\xb7\xd8\x00\x20\x37\x49\xda\x11"),
)

# The signatures of MPEG-TS and LATM AAC span three packets.
_HEAD_BYTES = 4 * 1024


def detect_format(file: FileSlice) -> Format | None:
    """Return the format that the first bytes after the leading tags show; None for MP3 and unknown formats."""
    file.seek(audio_start(file))
    head = file.read(_HEAD_BYTES)
    return next((known for known in FORMATS if known.matches(head)), None)


def audio_start(file: FileSlice) -> int:
    """Return the offset after all leading tags."""
    return skip_tags(file, 0)
