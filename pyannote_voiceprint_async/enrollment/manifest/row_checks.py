"""What can be known to be wrong with a speaker before a cent is spent, and which recording it is.

All of it blocks: it belongs on a worker thread.
"""

import json
import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import attrs

from pyannote_voiceprint_async.api.endpoints import MAX_VOICEPRINT_BYTES
from pyannote_voiceprint_async.api.request_checks import check_request
from pyannote_voiceprint_async.errors import InvalidRequestError, MediaError
from pyannote_voiceprint_async.models import VoiceprintRequest
from pyannote_voiceprint_async.redaction import redact_url

from .names import find_existing, normalize_name
from .preflight import CheckedAudio, change_time_ns
from .rows import Problem, Row
from .segments import Segments, is_whole_file, segments_problem
from .sources import is_url
from .url_identity import identity_and_expiry

__all__ = [
    "MAX_LABEL_LENGTH",
    "CheckFile",
    "CheckedRow",
    "check_audio_file",
    "check_row",
    "file_problem",
    "is_reserved_label",
    "label_problem",
    "printable_label",
    "url_problem",
]

CheckFile: TypeAlias = Callable[[Path, os.stat_result, Segments], CheckedAudio]
"""Looks at a file, of which pieces may be wanted."""

MAX_LABEL_LENGTH = 100
"""Characters of a label that identification takes."""

_SCHEMES = ("http://", "https://", "media://")
# Line separators too: a label stands in one line of a file. Lone surrogates cannot be written at all.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_RESERVED = "speaker_"
# A model is checked beside a source that is known to be good.
_GOOD_SOURCE = "media://voice"
_LONGEST_SHOWN = 200


@attrs.frozen
class CheckedRow:
    """A speaker of whom nothing is known to be wrong."""

    row: Row
    """As it came; only its label is in NFC without white space around it, all of a file has no pieces, and a file has
    the Unicode form of its name on the disk."""
    audio: CheckedAudio
    """What is known of its recording."""

    @property
    def is_file(self) -> bool:
        """Whether the source is a file of this machine."""
        return isinstance(self.row.source, Path)


def check_row(
    row: object,
    *,
    model: str,
    has_resolver: bool,
    check_file: CheckFile,
    trim: bool = False,
) -> CheckedRow | Problem:
    """Say all that is wrong with a row, or what it is.

    Args:
        row: a `Row`. It may come from anywhere: wrong types are problems, too.
        model: that of the run, for rows without one.
        has_resolver: whether the run has a `resolve`, which understands more than the API does.
        check_file: looks at a file, maybe from memory; raises what `Preflight.listen` does.
        trim: whether a part is taken of what is too long, so that a file may have any size.
    """
    if not isinstance(row, Row):
        return Problem(f"is no Row but {type(row).__name__}; give Row(label, source)")
    if isinstance(row.source, Path):
        row = _on_disk(row, row.source)
    found = _look_at_source(row, has_resolver=has_resolver, trim=trim)
    wrong_pieces = _pieces_problem(row)
    judged = (label_problem(row.label), _model_problem(row.model), _extra_problem(row.extra), found, wrong_pieces)
    if problems := [problem for problem in judged if isinstance(problem, str)]:
        return Problem("; ".join(problems), printable_label(row.label), row.line)
    normal = _normalized(row, model)
    file = found if isinstance(found, os.stat_result) else None
    audio = _check_audio(normal, file, check_file)
    return Problem(audio, normal.label, row.line) if isinstance(audio, str) else CheckedRow(normal, audio)


def url_problem(url: str) -> str | None:
    """Say what is wrong with a URL."""
    if not url.lower().startswith(_SCHEMES):
        return "must begin with http://, https:// or media://; give a bucket's object by a presigned URL"
    return _request_problem(VoiceprintRequest(url))


def file_problem(path: Path, *, largest: int | None = None) -> str | None:
    """Say why a file cannot be uploaded.

    Args:
        path: the file.
        largest: bytes; None is without end.
    """
    found = _look_at(path, largest)
    return found if isinstance(found, str) else None


def check_audio_file(
    path: Path, found: os.stat_result, segments: Segments, check_file: CheckFile
) -> CheckedAudio | str:
    """Look at a file, and say what is known of it, or what is wrong with it.

    Args:
        path: the file.
        found: what `path.stat()` said of it.
        segments: what is to be cut out of it; nothing is all of it.
        check_file: looks at it; raises what `Preflight.listen` does.
    """
    try:
        return check_file(path, found, segments)
    except OSError as exc:
        return f"{_reason(exc)}; see that it stays readable"
    except MediaError as error:
        return _continued(str(error))


def is_reserved_label(label: str) -> bool:
    """Whether it begins as identification's own names do, so that it takes no such label."""
    return label[: len(_RESERVED)].lower() == _RESERVED


def printable_label(label: object) -> str | None:
    """Give a label fit to be shown in a sentence, whatever was given as one."""
    if not isinstance(label, str) or not label.strip():
        return None
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", normalize_name(label.strip()[:MAX_LABEL_LENGTH]))


def _on_disk(row: Row, path: Path) -> Row:
    try:
        found = find_existing(path)
    except (OSError, ValueError):
        return row  # it can be no file's name: told where it is looked at
    return row if found == path else attrs.evolve(row, source=found)


def _normalized(row: Row, model: str) -> Row:
    return attrs.evolve(
        row,
        label=normalize_name(row.label.strip()),
        source=row.source.absolute() if isinstance(row.source, Path) else str(row.source),
        model=str(model if row.model is None else row.model),
        segments=() if is_whole_file(row.segments) else row.segments,
    )


def _check_audio(row: Row, found: os.stat_result | None, check_file: CheckFile) -> CheckedAudio | str:
    source = row.source
    if isinstance(source, Path) and found is not None:
        audio = check_audio_file(source, found, row.segments, check_file)
        if isinstance(audio, str):
            return f"{_shown(source)}: {audio}"
        return attrs.evolve(audio, size=found.st_size, modified_ns=change_time_ns(found))
    if not is_url(str(source)):
        return CheckedAudio(f"id:{source}")
    identity, expires_at = identity_and_expiry(str(source))
    return CheckedAudio(f"url:{identity}", expires_at=expires_at)


def label_problem(label: object) -> str | None:
    """Say why identification takes no such label."""
    if label is None or label == "":
        return "has no label; every speaker needs one"
    if not isinstance(label, str):
        return f"the label must be text, not {type(label).__name__}"
    return _label_text_problem(normalize_name(label.strip()))


def _label_text_problem(label: str) -> str | None:
    if not label:
        return "has no label; every speaker needs one"
    if len(label) > MAX_LABEL_LENGTH:
        return f"the label has {len(label)} characters; identification takes at most {MAX_LABEL_LENGTH}"
    if is_reserved_label(label):
        return f"the label begins with {_RESERVED!r}, which identification keeps for unknown voices; give another one"
    if _CONTROL.search(label):
        return "the label has a line break or another control character; give one in plain text"
    return None


def _model_problem(model: object) -> str | None:
    # Its type is checked there, too.
    return None if model is None else _request_problem(VoiceprintRequest(_GOOD_SOURCE, model), "the model ")  # type: ignore[arg-type]


def _extra_problem(extra: object) -> str | None:
    if not extra and isinstance(extra, Mapping):
        return None
    try:
        if not isinstance(extra, Mapping) or not all(isinstance(name, str) for name in extra):
            return "the further columns must be a mapping from names to JSON values"
        json.dumps(dict(extra), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return "the further columns hold what cannot be written as JSON in UTF-8 (no number, half a character, …)"
    return None


def _pieces_problem(row: Row) -> str | None:
    problem = segments_problem(row.segments)
    if problem is None and not is_whole_file(row.segments) and not isinstance(row.source, Path):
        return "start and end cut a file of this machine, and the source is none; cut it before, or leave them empty"
    return problem


def _look_at_source(row: Row, *, has_resolver: bool, trim: bool) -> os.stat_result | str | None:
    if isinstance(row.source, Path):
        return _file(row.source, is_cut=trim or not is_whole_file(row.segments))
    return _text_problem(row.source, has_resolver=has_resolver)


def _text_problem(source: object, *, has_resolver: bool) -> str | None:
    if source is None or source == "":
        return "has no source; give a URL or a file"
    if not isinstance(source, str):
        return f"the source must be a URL as str or a file as pathlib.Path, not {type(source).__name__}"
    if _SURROGATE.search(source):
        return "the source has half a character, which cannot be written as UTF-8; give it anew"
    if has_resolver:
        return None
    if not is_url(source):
        return f"{_shown(source)}: is no URL; give a file of this machine as pathlib.Path"
    problem = url_problem(source)
    return problem and f"{_shown(source)}: {problem}"


def _file(path: Path, *, is_cut: bool) -> os.stat_result | str:
    if _SURROGATE.search(str(path)):
        return f"{_shown(path)}: its name is no UTF-8; rename it"
    found = _look_at(path, None if is_cut else MAX_VOICEPRINT_BYTES)
    return f"{_shown(path)}: {found}" if isinstance(found, str) else found


def _look_at(path: Path, largest: int | None) -> os.stat_result | str:
    """Give what the file is, or why it cannot be uploaded."""
    try:
        found = path.stat()
    except OSError as exc:
        return f"{_reason(exc)}; give a file that is there, or a URL"
    except ValueError:
        return "can be no file's name; give a file that is there, or a URL"
    if not stat.S_ISREG(found.st_mode):
        return "is no file; give a file"
    if not found.st_size:
        return "is empty; give a file with audio"
    if largest is not None and found.st_size > largest:
        return f"has {found.st_size / 2**20:.0f} MiB; a voiceprint takes at most {largest / 2**20:.0f} MiB"
    return found if os.access(path, os.R_OK) else "may not be read; change its permissions"


def _request_problem(request: VoiceprintRequest, subject: str = "") -> str | None:
    try:
        check_request(request)
    except InvalidRequestError as error:
        return f"{subject}{error.errors[0].message}"
    return None


def _continued(sentence: str) -> str:
    """Give a sentence as it goes on after a file's name."""
    return sentence[:1].lower() + sentence[1:].removesuffix(".")


def _reason(exc: OSError) -> str:
    return (exc.strerror or "cannot be read").lower()


def _from_here(path: Path) -> str:
    """Give a path as people write it: without detours, and without the folder that they are in."""
    plain, here = Path(os.path.normpath(path)), Path.cwd()
    return str(plain.relative_to(here) if plain.is_relative_to(here) else plain)


def _shown(text: str | Path) -> str:
    said = redact_url(text) if isinstance(text, str) else _from_here(text)
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", said[:_LONGEST_SHOWN])
