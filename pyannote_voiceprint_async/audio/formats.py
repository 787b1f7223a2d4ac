"""One table of signatures: the formats that are recognized by their first bytes.

MP3 is missing, because its frames have no signature that could be relied on: see `mp3_frames`.
"""

import re
from functools import cache
from typing import NamedTuple

from .source import Door
from .tags import after_tags

__all__ = ["FORMATS", "Format", "begin_of", "format_of"]


class Format(NamedTuple):
    """A format, and how a file of it begins."""

    name: str
    offset: int
    """Bytes before `magic`."""
    magic: bytes
    rest: bytes = b""
    """A regular expression for what follows `magic`."""
    is_readable: bool = False
    """Whether libsndfile reads it, as far as the first bytes can tell."""
    is_distinct: bool = False
    """Whether the signature is too long to occur by chance: a second one in a file means that files were joined."""
    is_container: bool = False
    """Whether files of other formats may occur in it as they are."""

    def begins(self, data: bytes, place: int = 0) -> bool:
        """Whether a file of this format begins at a place of the data."""
        at = place + self.offset
        return data.startswith(self.magic, at) and _compiled(self.rest).match(data, at + len(self.magic)) is not None


@cache
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


def _checked(name: str, magic: bytes, rest: bytes = b"") -> Format:
    return Format(name, 0, magic, rest, is_readable=True, is_distinct=True)


def _foreign(name: str, magic: bytes, rest: bytes = b"", *, offset: int = 0) -> Format:
    return Format(name, offset, magic, rest)


def _container(name: str, magic: bytes, rest: bytes = b"", *, offset: int = 0) -> Format:
    return Format(name, offset, magic, rest, is_distinct=True, is_container=True)


FORMATS = (
    # Formats that libsndfile reads.
    *(_checked("WAV", magic, rb".{4}WAVE") for magic in (b"RIFF", b"RIFX", b"RF64", b"BW64")),
    _checked("AIFF", b"FORM", rb".{4}AIF[FC]"),
    _checked("SVX", b"FORM", rb".{4}(?:8SVX|16SV)"),
    _checked("FLAC", b"fLaC", rb"[\x00\x80]\x00\x00\x22"),
    _checked("W64", b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"),
    _checked("CAF", b"caff\x00\x01", rb"..desc"),
    _checked("AU", b".snd\x00\x00", rb".{6}\x00\x00\x00[\x01-\x1d]\x00"),
    _checked("AU", b"dns.", rb".{2}\x00\x00.{4}[\x01-\x1d]\x00\x00\x00"),
    _checked("NIST", b"NIST_1A\n"),
    _checked("VOC", b"Creative Voice File\x1a"),
    # A page that begins a stream, at its time zero.
    _checked("Ogg", b"OggS\x00\x02", rb"\x00{8}"),
    Format("Ogg", 0, b"OggS\x00", is_readable=True),
    # Formats that libsndfile does not read. The API may read them.
    _container("MOV", b"ftypqt  ", offset=4),
    _container("MP4/M4A", b"ftyp", rb"[\x20-\x7e]{4}.{4}[\x20-\x7e]{4}", offset=4),
    _foreign("MP4/M4A", b"ftyp", offset=4),
    _foreign("MOV", b"", rb"[\x00-\x08].{3}(?:moov|mdat|wide|free|skip|pnot)"),
    _container("WebM/Matroska", b"\x1a\x45\xdf\xa3", rb".{,48}?(?:webm|matroska)"),
    _foreign("WebM/Matroska", b"\x1a\x45\xdf\xa3"),
    _container("WMA/ASF", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    _container("AVI", b"RIFF", rb".{4}AVI "),
    _foreign("QCP", b"RIFF", rb".{4}QLCM"),
    _foreign("xWMA", b"RIFF", rb".{4}XWMA"),
    _foreign("AMR", b"#!AMR"),
    _foreign("iLBC", b"#!iLBC"),
    _foreign("EVRC", b"#!EVRC"),
    _foreign("SMV", b"#!SMV"),
    _foreign("SILK", b"", rb"\x02?#!SILK"),
    _foreign("AAC", b"\xff", rb"[\xf0\xf1\xf8\xf9]"),
    _foreign("AAC", b"ADIF"),
    _foreign("AAC", b"", rb"V[\xe0-\xff].{6,1800}V[\xe0-\xff].{6,1800}V[\xe0-\xff]"),
    _foreign("AC-3", b"\x0b\x77"),
    _foreign("AC-3", b"\x77\x0b"),
    _foreign("AC-4", b"\xac", rb"[\x40\x41]"),
    _foreign("TrueHD", b"", rb"\xf8\x72\x6f[\xba\xbb]", offset=4),
    *(
        _foreign("DTS", magic)
        for magic in (b"\x7f\xfe\x80\x01", b"\xfe\x7f\x01\x80", b"\x1f\xff\xe8\x00", b"\xff\x1f\x00\xe8", b"DTSHDHDR")
    ),
    _foreign("FLV", b"FLV\x01"),
    _foreign("MPEG-TS", b"\x47", rb".{187}\x47.{187}\x47"),
    _foreign("MPEG-TS", b"\x47", rb".{191}\x47.{191}\x47", offset=4),
    _foreign("MPEG-PS", b"\x00\x00\x01\xba"),
    _foreign("MXF", b"\x06\x0e\x2b\x34"),
    _foreign("WavPack", b"wvpk"),
    _foreign("Monkey's Audio", b"MAC ", rb".[\x0c-\x10]"),
    _foreign("True Audio", b"TTA", rb"[12]"),
    _foreign("Musepack", b"MPCK"),
    _foreign("Musepack", b"MP+", rb"[\x04-\x07\x14-\x17\x24-\x27]"),
    _foreign("OptimFROG", b"OFR ", rb".{3}\x00"),
    _foreign("Shorten", b"ajkg"),
    _foreign("TAK", b"tBaK"),
    _foreign("DSF", b"DSD ", rb"\x1c\x00"),
    _foreign("DSDIFF", b"FRM8"),
    _foreign("RealMedia", b".RMF"),
    _foreign("RealAudio", b".ra\xfd"),
    _foreign("ATRAC", b"", rb"(?:EA3|ea3)[\x01-\x03]"),
    _foreign("VQF", b"TWIN", rb"\d{8}"),
    _foreign("SMJPEG", b"\x00\x0aSMJPEG"),
    _foreign("NUT", b"nut/multimedia container"),
    _foreign("Codec 2", b"\xc0\xde\xc2"),
    _foreign("LC3", b"\x1c\xcc"),
    _foreign("Audible", b"\x57\x90\x75\x36", offset=4),
    _foreign("ADX", b"\x80\x00", rb".{2}\x03\x12\x04[\x01-\x08]"),
    _foreign("MAUD", b"FORM", rb".{4}MAUD"),
    _foreign("HCOM", b"FSSD", rb".{59}HCOM", offset=65),
    _foreign("SoX", b".SoX"),
    _foreign("SoX", b"XoS."),
    _foreign("AST", b"STRM", rb".{60}BLCK"),
    _foreign("MMF", b"MMMD", rb".{4}CNTI"),
    _foreign("S/PDIF", b"\x72\xf8\x1f\x4e"),
    _foreign("WTV", b"\xb7\xd8\x00\x20\x37\x49\xda\x11"),
)

# MPEG-TS shows itself in three packets, LATM in three frames.
_HEAD_BYTES = 4 * 1024


def format_of(door: Door) -> Format | None:
    """Return the format by the first bytes behind the leading tags; None for MP3 and for what is not known."""
    door.seek(begin_of(door))
    head = door.read(_HEAD_BYTES)
    return next((one for one in FORMATS if one.begins(head)), None)


def begin_of(door: Door) -> int:
    """Return where the audio begins: behind all tags that stand before it."""
    return after_tags(door, 0)
