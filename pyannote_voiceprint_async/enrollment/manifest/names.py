"""Unicode forms of the names of people and files.

`José` is four characters in NFC and five in NFD; macOS, spreadsheets and web forms use different forms. Both forms are
the same name: names are compared in NFC.
"""

import os
import unicodedata
from pathlib import Path

__all__ = ["find_existing", "normalize_name", "unicode_forms"]


def normalize_name(name: str) -> str:
    """Return a name in NFC."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def unicode_forms(name: str) -> tuple[str, ...]:
    """Return the distinct forms in which a name may be stored: NFC, NFD, and the name as it was passed."""
    return tuple(dict.fromkeys((normalize_name(name), unicodedata.normalize("NFD", name), name)))


def find_existing(path: Path) -> Path:
    """Return the path in the Unicode form that exists on the disk, or `path` itself if there is none. Blocks."""
    if os.fspath(path).isascii() or os.path.lexists(path):
        return path
    found = Path(path.anchor)
    for part in path.parts[len(found.parts) :]:
        # The form that was passed comes first: two files may differ only in their Unicode form.
        for form in (part, *unicode_forms(part)):
            if os.path.lexists(found / form):
                found /= form
                break
        else:
            return path
    return found
