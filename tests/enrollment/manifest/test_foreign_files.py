"""Files of other formats with the name of a list are refused by the name of their format."""

import gzip
import io
import zipfile

import pytest

from pyannote_voiceprint_async.enrollment import Manifest
from pyannote_voiceprint_async.enrollment.manifest.foreign_files import detect_foreign_format
from pyannote_voiceprint_async.errors import ManifestError


def archive(**files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in files.items():
            file.writestr(name.replace("__", "/").replace("_", "."), content)
    return packed.getvalue()


XLSX = archive(xl__workbook_xml="<workbook/>")
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)


KINDS = [
    (XLSX, "an Excel workbook (.xlsx)", "save it as CSV (Excel: 'CSV UTF-8')"),
    (archive(content_xml="<x/>", mimetype="a"), "an OpenDocument spreadsheet (.ods)", "save it as CSV"),
    (archive(Index__Document_iwa="x"), "an Apple Numbers spreadsheet (.numbers)", "export it as CSV"),
    (archive(speakers_csv="label,source"), "a ZIP archive", "unpack it"),
    (XLSX[:60], "a damaged workbook or ZIP archive", "save it as CSV"),
    (OLE, "an Excel workbook (.xls, or one with a password)", "save it as CSV"),
    (b"\x09\x08\x10\x00\x00\x06\x05\x00", "an Excel workbook (.xls)", "save it as CSV"),
    (b"<?xml version='1.0'?><Workbook/>", "an XML document or workbook", "save it as CSV"),
    (b"\xef\xbb\xbf\r\n<!DOCTYPE html><table>", "a web page", "save it as CSV"),
    (b"<table><tr><td>label", "a web page", "save it as CSV"),
    (b"%PDF-1.7", "a PDF document", "give a list"),
    (b"{\\rtf1", "a document in Rich Text Format", "give a list"),
    (gzip.compress(b"label,source"), "a file compressed by gzip", "decompress it"),
    (b"PAR1\x15\x04", "a Parquet file", "export it as CSV"),
    (b"SQLite format 3\0", "an SQLite database", "export its table"),
    (b"RIFF\x24\0\0\0WAVEfmt ", "a recording", "give a list"),
    (b"ID3\x04\0", "a recording", "give a list"),
]  # fmt: skip


# Archives contain the time of their creation, so that their bytes cannot be part of a test id.
@pytest.mark.parametrize(("content", "what", "remedy"), KINDS, ids=[f"{kind[1]} {at}" for at, kind in enumerate(KINDS)])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_a_foreign_file_is_refused_with_its_format_and_a_remedy(tmp_path, content, what, remedy, suffix):
    path = tmp_path / f"speakers{suffix}"
    path.write_bytes(content)
    with pytest.raises(ManifestError) as raised:
        list(Manifest(path))
    said = str(raised.value)
    assert said.startswith(f"speakers{suffix} is {what}, not a list of speakers. Nothing was sent: ")
    assert remedy in said


@pytest.mark.parametrize(
    "content", [b"", b"PK,source\n", b"ID3,source\n", b"RIFF,source\n", b"PAR1,source\n", b"label,source\nA,<html>\n"]
)
def test_a_list_that_begins_like_a_foreign_file_is_read(content):
    file = io.BufferedReader(io.BytesIO(content))
    assert detect_foreign_format(file) is None
    assert file.read() == content
