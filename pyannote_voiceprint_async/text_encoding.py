"""The encoding of a text file, known by its first bytes."""

__all__ = ["detect_encoding"]

_MARKS = (b"\xff\xfe", b"\xfe\xff")


def detect_encoding(begin: bytes) -> str:
    """Return the codec for a text file: UTF-16 where its mark or its first characters show it, else UTF-8.

    PowerShell's `>` writes UTF-16. Without a mark it is known by the zero bytes beside the ASCII characters that
    lists and tables begin with.

    Args:
        begin: at least the first four bytes, where there are as many.
    """
    if begin[:2] in _MARKS:
        return "utf-16"
    are_zero = [not byte for byte in begin[:4]]
    if are_zero == [False, True, False, True]:
        return "utf-16-le"
    if are_zero == [True, False, True, False]:
        return "utf-16-be"
    return "utf-8-sig"
