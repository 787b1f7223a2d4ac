"""Names of people and files, which may be written in several Unicode forms.

`José` is four characters or five: macOS, spreadsheets and web forms do not agree. Two forms are one name, and are
compared in NFC.
"""

import os
import unicodedata
from pathlib import Path

__all__ = ["find_existing", "normalize_name", "unicode_forms"]


def normalize_name(name: str) -> str:
    """Return a name in NFC."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def unicode_forms(name: str) -> tuple[str, ...]:
    """Return the forms in which a name may be stored: NFC first, then NFD, then the one that was given."""
    return tuple(dict.fromkeys((normalize_name(name), unicodedata.normalize("NFD", name), name)))


def find_existing(path: Path) -> Path:
    """Return the path of a file under the Unicode form in which its name exists; else the path itself. It blocks."""
    if os.fspath(path).isascii() or os.path.lexists(path):
        return path
    found = Path(path.anchor)
    for part in path.parts[len(found.parts) :]:
        # The name that was given comes first: two files may differ in nothing but the form.
        for form in (part, *unicode_forms(part)):
            if os.path.lexists(found / form):
                found /= form
                break
        else:
            return path
    return found
