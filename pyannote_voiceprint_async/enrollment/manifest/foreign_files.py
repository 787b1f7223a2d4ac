"""Files that have the name of a list of speakers but another format, such as a workbook named `.csv`."""

import re
import zipfile
from io import BufferedReader
from typing import NamedTuple

__all__ = ["ForeignFormat", "detect_foreign_format"]


class ForeignFormat(NamedTuple):
    """A file format that is not a list of speakers."""

    description: str
    """What the file is, as in "the file is …"."""
    remedy: str
    """What the user can do, as a command."""


_SAVE_AS_CSV = "open it in a spreadsheet program and save it as CSV (Excel: 'CSV UTF-8')"
_GIVE_A_LIST = "give a list of speakers as .csv, .tsv or .jsonl"
_DECOMPRESS = "decompress it"

_ZIP_SIGNATURE = b"PK\x03\x04"
_ZIP = ForeignFormat("a ZIP archive", "unpack it")
_ZIP_OR_WORKBOOK = ForeignFormat("a ZIP archive or workbook", _SAVE_AS_CSV)
_DAMAGED_ZIP = ForeignFormat("a damaged workbook or ZIP archive", _SAVE_AS_CSV)
_XLSX = ForeignFormat("an Excel workbook (.xlsx)", _SAVE_AS_CSV)
_ODS = ForeignFormat("an OpenDocument spreadsheet (.ods)", _SAVE_AS_CSV)
_NUMBERS = ForeignFormat("an Apple Numbers spreadsheet (.numbers)", "open it in Numbers and export it as CSV, in UTF-8")

# The signature at the beginning of the file, what the file is, and what to do.
_BINARY_FORMATS = (
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls, or one with a password)", _SAVE_AS_CSV),
    (rb"\x09[\x00\x02\x04\x08][\x04-\x10]\x00", "an Excel workbook (.xls)", _SAVE_AS_CSV),
    (rb"%PDF-", "a PDF document", _GIVE_A_LIST),
    (rb"\{\\rtf", "a document in Rich Text Format", _GIVE_A_LIST),
    (rb"\x1f\x8b", "a file compressed by gzip", _DECOMPRESS),
    (rb"\x28\xb5\x2f\xfd", "a file compressed by zstd", _DECOMPRESS),
    (rb"PAR1[^\w,;\t\r\n ]", "a Parquet file", "export it as CSV"),
    (rb"SQLite format 3\x00", "an SQLite database", "export its table as CSV"),
    (rb"RIFF....WAVE|ID3[\x02-\x04]\x00|fLaC\x00|OggS\x00", "a recording", _GIVE_A_LIST),
)
# Excel's older XML format, and HTML tables that web sites offer as downloads for Excel. Compared in lower case, after
# white space and a byte order mark.
_MARKUP_FORMATS = (
    (rb"<\?xml", "an XML document or workbook", _SAVE_AS_CSV),
    (rb"<!doctype html|<html|<table", "a web page", _SAVE_AS_CSV),
)
_UTF8_MARK = b"\xef\xbb\xbf"
_BYTES_COMPARED = 512


def detect_foreign_format(file: BufferedReader) -> ForeignFormat | None:
    """Return the format of a file that cannot be a list of speakers, or None.

    Args:
        file: the open file, at its beginning. Its position does not change if the result is None.
    """
    begin = file.peek(_BYTES_COMPARED)[:_BYTES_COMPARED]
    if begin.startswith(_ZIP_SIGNATURE):
        return _format_of_zip(file) if file.seekable() else _ZIP_OR_WORKBOOK
    markup = begin.removeprefix(_UTF8_MARK).lstrip().lower()
    for table, text in ((_BINARY_FORMATS, begin), (_MARKUP_FORMATS, markup)):
        for signature, description, remedy in table:
            if re.match(signature, text, re.DOTALL):
                return ForeignFormat(description, remedy)
    return None


def _format_of_zip(file: BufferedReader) -> ForeignFormat:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return _DAMAGED_ZIP
    if any(name.startswith("xl/") for name in names):
        return _XLSX
    if "content.xml" in names:
        return _ODS
    if any(name.endswith(".iwa") for name in names):
        return _NUMBERS
    return _ZIP
