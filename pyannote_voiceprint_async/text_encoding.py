"""Detect the encoding of a text file by its first bytes."""

__all__ = ["detect_encoding"]

_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")


def detect_encoding(begin: bytes) -> str:
    """Return the name of the codec: UTF-16, which `>` in PowerShell writes, or UTF-8.

    UTF-16 without a byte order mark has a zero byte beside each ASCII character, with which lists and tables begin.

    Args:
        begin: the first bytes of the file, four or more unless the file is shorter.
    """
    if begin[:2] in _BYTE_ORDER_MARKS:
        return "utf-16"
    are_zero = [not byte for byte in begin[:4]]
    if are_zero == [False, True, False, True]:
        return "utf-16-le"
    if are_zero == [True, False, True, False]:
        return "utf-16-be"
    return "utf-8-sig"
