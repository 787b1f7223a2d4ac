"""What a text or a file name stands for: a URL, a manifest or a recording."""

import os
from pathlib import PurePath

__all__ = ["AUDIO_SUFFIXES", "JSON_LINES_SUFFIXES", "TABLE_SUFFIXES", "is_audio", "is_manifest", "is_url"]

AUDIO_SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".aac", ".webm", ".aiff", ".aif", ".au",
    ".3g2", ".3ga", ".3gp", ".3gpp", ".aa3", ".ac3", ".act", ".adts", ".aifc", ".amr", ".ape", ".asf", ".avi", ".awb",
    ".bwf", ".caf", ".dff", ".ds2", ".dsf", ".dss", ".dts", ".dvf", ".eac3", ".ec3", ".f4a", ".f4v", ".flv", ".gsm",
    ".loas", ".m1a", ".m2a", ".m2ts", ".m4b", ".m4p", ".m4r", ".m4v", ".mka", ".mkv", ".mov", ".mp1", ".mp2", ".mpa",
    ".mpc", ".mpeg", ".mpg", ".mpga", ".msv", ".mts", ".mxf", ".nist", ".nut", ".oga", ".ogm", ".ogv", ".ogx", ".oma",
    ".omg", ".qcp", ".qt", ".ra", ".rf64", ".rm", ".sd2", ".shn", ".silk", ".snd", ".sph", ".spx", ".tak", ".tta",
    ".ulaw", ".vob", ".voc", ".vox", ".w64", ".wave", ".weba", ".wma", ".wmv", ".wv", ".wve", ".xa",
)  # fmt: skip
"""Suffixes of recordings in a directory. A file that is named explicitly may have any suffix."""
TABLE_SUFFIXES = (".csv", ".tsv")
"""Suffixes of manifests that are tables with a first line of column names."""
JSON_LINES_SUFFIXES = (".jsonl", ".ndjson")
"""Suffixes of manifests with one JSON object per line."""


def is_url(text: str) -> bool:
    """Return whether a text is meant as a URL, valid or not."""
    return "://" in text or text[:5].lower() == "data:"


def is_audio(name: str) -> bool:
    """Return whether a file has the suffix of a recording."""
    return PurePath(name).suffix.lower() in AUDIO_SUFFIXES


def is_manifest(path: str | os.PathLike[str]) -> bool:
    """Return whether a file has the suffix of a manifest."""
    return PurePath(path).suffix.lower() in (*TABLE_SUFFIXES, *JSON_LINES_SUFFIXES)
