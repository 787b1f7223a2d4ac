"""Checks of a row's source: whether it is a URL that the API accepts, or a local file that can be uploaded.

The checks of files block: run them in a worker thread.
"""

import os
import re
import stat
from pathlib import Path

from pyannote_voiceprint_async.api.request_checks import check_request
from pyannote_voiceprint_async.errors import InvalidRequestError
from pyannote_voiceprint_async.models import VoiceprintRequest
from pyannote_voiceprint_async.redaction import redact_url

from .label_checks import UNPRINTABLE
from .source_kinds import is_url

__all__ = ["check_source", "file_problem", "model_problem", "os_error_reason", "printable_source", "url_problem"]

_SCHEMES = ("http://", "https://", "media://")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# A model is checked as part of a request, which needs a valid source.
_VALID_SOURCE = "media://voice"
_MAX_LENGTH_SHOWN = 200


def check_source(source: object, *, has_resolver: bool, max_size: int | None) -> os.stat_result | str | None:
    """Return the status of a file, the problem of a source, or None for a valid URL.

    Args:
        source: the source of a row, of any type.
        has_resolver: whether the run has a `resolve` function, which may accept any text.
        max_size: the maximum size of a file in bytes; None means no limit.
    """
    if isinstance(source, Path):
        return _check_file_source(source, max_size)
    if source is None or source == "":
        return "has no source; give a URL or a file"
    if not isinstance(source, str):
        return f"the source must be a URL as str or a file as pathlib.Path, not {type(source).__name__}"
    if _SURROGATE.search(source):
        return "the source has a lone surrogate, which cannot be written as UTF-8; write the source again"
    if has_resolver:
        return None
    problem = url_problem(source) if is_url(source) else "is not a URL; pass a local file as pathlib.Path"
    return problem and f"{printable_source(source)}: {problem}"


def url_problem(url: str) -> str | None:
    """Return why the API would reject a URL, or None."""
    if not url.lower().startswith(_SCHEMES):
        return "must begin with http://, https:// or media://; give an object of a bucket by a presigned URL"
    return _request_problem(VoiceprintRequest(url))


def file_problem(path: Path, *, max_size: int | None = None) -> str | None:
    """Return why a file cannot be uploaded, or None.

    Args:
        path: the file.
        max_size: the maximum size in bytes; None means no limit.
    """
    status = _file_status(path, max_size)
    return status if isinstance(status, str) else None


def model_problem(model: object) -> str | None:
    """Return why a value is not the name of a model, or None."""
    if model is None:
        return None
    problem = _request_problem(VoiceprintRequest(_VALID_SOURCE, model))  # type: ignore[arg-type] # checked there
    return problem and f"the model {problem}"


def os_error_reason(exc: OSError) -> str:
    """Return the reason of an operating system error in lower case, as it follows the name of a file."""
    return (exc.strerror or "cannot be read").lower()


def printable_source(source: str | Path) -> str:
    """Return a source for a message: a URL without secrets, or a path relative to the current folder."""
    text = redact_url(source) if isinstance(source, str) else _relative_to_current_folder(source)
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text[:_MAX_LENGTH_SHOWN])


def _check_file_source(path: Path, max_size: int | None) -> os.stat_result | str:
    # The ledger stores the path as text.
    is_text = _SURROGATE.search(str(path)) is None
    status = _file_status(path, max_size) if is_text else "the file name is not UTF-8; rename the file"
    return f"{printable_source(path)}: {status}" if isinstance(status, str) else status


def _file_status(path: Path, max_size: int | None) -> os.stat_result | str:
    try:
        status = path.stat()
    except OSError as exc:
        return f"{os_error_reason(exc)}; give an existing file or a URL"
    except ValueError:
        return "is not a valid file name; give an existing file or a URL"
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file; give a file"
    if not status.st_size:
        return "is empty; give a file with audio"
    if max_size is not None and status.st_size > max_size:
        return f"has {status.st_size / 2**20:.0f} MiB. A voiceprint takes at most {max_size / 2**20:.0f} MiB"
    return status if os.access(path, os.R_OK) else "cannot be read by this user; change its permissions"


def _request_problem(request: VoiceprintRequest) -> str | None:
    try:
        check_request(request)
    except InvalidRequestError as error:
        return error.errors[0].message
    return None


def _relative_to_current_folder(path: Path) -> str:
    plain, here = Path(os.path.normpath(path)), Path.cwd()
    return str(plain.relative_to(here) if plain.is_relative_to(here) else plain)
