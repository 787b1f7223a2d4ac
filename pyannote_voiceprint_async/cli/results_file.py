"""The file of `--out`: readable only by its owner, and continued after an interrupted run."""

import os
from pathlib import Path
from typing import BinaryIO

from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile
from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.local_files import reason_of

from .exit_codes import WrongUsage

__all__ = ["open_results_file"]

_OWNER_ONLY = 0o600


def open_results_file(out: OutputFile) -> BinaryIO:
    """Open a file to append results, or a device or a pipe to write them.

    Raises:
        WrongUsage: the file cannot be opened, or contains something other than results.
    """
    try:
        out.check()
    except ConfigurationError as error:
        raise WrongUsage(f"Nothing was sent: {error}") from None
    try:
        if out.is_stream:
            return out.open_stream()
        # Append, because earlier results may have been billed. Do not follow a link that was created since the check.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(out.path, flags, _OWNER_ONLY)
    except OSError as exc:
        raise _open_failure(out.path, exc) from None
    # Unbuffered: after a failed write, closing a buffered file would fail again.
    file = os.fdopen(descriptor, "wb", buffering=0)
    try:
        _prepare(out, descriptor)
        os.fchmod(descriptor, _OWNER_ONLY)
    except OSError as exc:
        file.close()
        raise _open_failure(out.path, exc) from None
    return file


def _prepare(out: OutputFile, descriptor: int) -> None:
    """Empty a file that is to be replaced; end a line that a killed run left incomplete."""
    if out.replaces:
        os.ftruncate(descriptor, 0)
    size = os.fstat(descriptor).st_size
    # Without the line break, the next result would be appended to the incomplete one.
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        os.write(descriptor, b"\n")


def _open_failure(path: Path, exc: OSError) -> WrongUsage:
    return WrongUsage(
        f"Nothing was sent: {path} cannot be opened as a file that only you may read ({reason_of(exc)}). Choose "
        "another file."
    )
