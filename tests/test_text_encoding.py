"""Detect the encoding of a text file."""

import pytest

from pyannote_voiceprint_async.text_encoding import detect_encoding


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8-sig"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
    ],
)
def test_first_bytes_show_the_encoding(encoding, found):
    text = "label,source\nZoë,https://e.com/zoë.wav\n"
    assert detect_encoding(text.encode(encoding)[:4]) == found
    assert text.encode(encoding).decode(found) == text


def test_byte_order_mark_of_the_other_byte_order():
    assert b"\xfe\xff\0a".decode(detect_encoding(b"\xfe\xff\0a")) == "a"


@pytest.mark.parametrize("begin", [b"", b"a", b"\0", b"a\0", b"\0\0\0\0", b"a\0\0\0", b"ab\0\0"])
def test_short_files_and_other_zero_bytes_are_not_utf_16(begin):
    assert detect_encoding(begin) == "utf-8-sig"
