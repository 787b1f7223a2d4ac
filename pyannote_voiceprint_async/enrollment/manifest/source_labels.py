"""Labels for recordings that come without one, made from the names of files and URLs."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath
from urllib.parse import unquote, urlsplit

from pyannote_voiceprint_async.redaction import redact_url

from .names import normalize_name

__all__ = ["distinct_labels"]


def distinct_labels(sources: Sequence[Path | str], long_name: Callable[[Path | str], str]) -> Iterator[str]:
    """Yield a label for each source: its name without suffix, or a longer name if several sources have that name.

    Args:
        sources: files and URLs.
        long_name: returns the longer name of a source.
    """
    short_names = [normalize_name(_short_name(source)) for source in sources]
    counts = Counter(short_names)
    taken = {name for name in short_names if counts[name] == 1}
    for name, source in zip(short_names, sources, strict=True):
        if counts[name] == 1:
            yield name
            continue
        label = long = normalize_name(long_name(source))
        number = 1
        # Two URLs may differ only in their query, which must not be shown: they are numbered.
        while label in taken:
            number += 1
            label = f"{long} ({number})"
        taken.add(label)
        yield label


def _short_name(source: Path | str) -> str:
    if isinstance(source, Path):
        return source.stem
    try:
        parts = urlsplit(source)
        # In `media://voice.wav` the object key is in the place of the host.
        path = parts.netloc + parts.path if parts.scheme.lower() == "media" else parts.path
        return PurePath(unquote(path)).stem or parts.hostname or redact_url(source)
    except ValueError:
        return redact_url(source)
