"""Files that are called like a list and are something else, such as a workbook named `.csv`."""

import re
import zipfile
from io import BufferedReader

__all__ = ["detect_foreign_file"]

_AS_CSV = "open it in a spreadsheet program and save it as CSV (Excel: 'CSV UTF-8')"
_AS_LIST = "give a list of speakers as .csv, .tsv or .jsonl"
_ZIP = b"PK\x03\x04"

# How the file begins, what it is, and what to do.
_KINDS = (
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls, or one with a password)", _AS_CSV),
    (rb"\x09[\x00\x02\x04\x08][\x04-\x10]\x00", "an Excel workbook (.xls)", _AS_CSV),
    (rb"%PDF-", "a PDF document", _AS_LIST),
    (rb"\{\\rtf", "a document in Rich Text Format", _AS_LIST),
    (rb"\x1f\x8b", "a file compressed by gzip", "decompress it"),
    (rb"\x28\xb5\x2f\xfd", "a file compressed by zstd", "decompress it"),
    (rb"PAR1[^\w,;\t\r\n ]", "a Parquet file", "export it as CSV"),
    (rb"SQLite format 3\x00", "an SQLite database", "export its table as CSV"),
    (rb"RIFF....WAVE|ID3[\x02-\x04]\x00|fLaC\x00|OggS\x00", "a recording", _AS_LIST),
)
# Excel's own XML, and tables of web pages that are offered as downloads for Excel.
_MARKUP = (
    (rb"<\?xml", "an XML document or workbook", _AS_CSV),
    (rb"<!doctype html|<html|<table", "a web page", _AS_CSV),
)
_BEGIN = 512


def detect_foreign_file(file: BufferedReader) -> tuple[str, str] | None:
    """Return what a file is and what to do, if it is known and no list of speakers. A list is not read on.

    Args:
        file: at its beginning.
    """
    begin = file.peek(_BEGIN)[:_BEGIN]
    if begin.startswith(_ZIP):
        return _archive(file) if file.seekable() else ("a ZIP archive or workbook", _AS_CSV)
    markup = begin.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    found = [kind for kind in _KINDS if re.match(kind[0], begin, re.DOTALL)]
    found += [kind for kind in _MARKUP if re.match(kind[0], markup)]
    return found[0][1:] if found else None


def _archive(file: BufferedReader) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "a damaged workbook or ZIP archive", _AS_CSV
    if any(name.startswith("xl/") for name in names):
        return "an Excel workbook (.xlsx)", _AS_CSV
    if "content.xml" in names:
        return "an OpenDocument spreadsheet (.ods)", _AS_CSV
    if any(name.endswith(".iwa") for name in names):
        return "an Apple Numbers spreadsheet (.numbers)", "open it in Numbers and export it as CSV, in UTF-8"
    return "a ZIP archive", "unpack it"
