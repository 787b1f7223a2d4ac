"""The way in."""

import os
from collections.abc import AsyncIterable, Iterable

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.ledger import Ledger
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem, Row
from pyannote_voiceprint_async.enrollment.run.enrollment import Enrollment
from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.models import Model

from .options import OnUnknown, Options, Resolve

__all__ = ["enroll"]


def enroll(  # noqa: PLR0913 - what a person may want; all but the first three by keyword
    client: AsyncVoiceprintClient,
    rows: Iterable[Row | Problem] | AsyncIterable[Row | Problem],
    ledger: Ledger | str | os.PathLike[str],
    *,
    model: str = Model.PRECISION_2,
    resolve: Resolve | None = None,
    on_unknown: OnUnknown = "hold",
    retry_failed: str | None = None,
    retry_expired: bool = False,
    allow_shared_audio: bool = False,
    skip_invalid: bool = False,
    replace: bool = False,
    max_jobs: int | None = None,
    new_key: bool = False,
    origin: str | None = None,
    preflight: bool = True,
    trim: bool = False,
) -> Enrollment:
    """Turn a list of speakers into voiceprints, through a ledger that remembers everything. Use it with `async with`.

    Gives events as they happen, `Finished` with the report as the last one. It may be killed at any instant, and begun
    again with the same ledger: done rows cost nothing, submitted ones are waited for, the others are sent.

    Args:
        client: the way to the API.
        rows: the list, such as a `Manifest`; read as a stream. A plain iterable is read in a worker thread.
        ledger: the ledger, or its path. An opened one stays open.
        model: of rows that name none.
        resolve: gives the URL of a row just before it is submitted, to presign it then; a row's `source` may be
            anything that it understands.
        on_unknown: what is done with a row that may have been accepted, when an unknown job was made at its time:
            `hold` it, `resubmit` it once (it may be paid twice), or `adopt` the job, which states that nothing else
            uses the key, no other list either.
        retry_failed: rows that failed with this in their text are tried again; an empty text is all of them.
        retry_expired: rows that were paid, and whose output was deleted unread, are paid again.
        allow_shared_audio: the same audio may have several labels; it is submitted once for all of them.
        skip_invalid: go on without the rows that are wrong.
        replace: submit rows whose label is already paid and whose URL differs from the paid one only in its query; they
            are paid again. Without it, such a row is wrong: its URL was probably signed anew in an unknown way.
        max_jobs: submit no more jobs than this.
        new_key: the client's key is another one of the same team than the ledger was made with.
        origin: what the ledger knows the API by; else the client's base URL.
        preflight: look at files before anything is sent, where the extra `[audio]` is installed: what is too long,
            silent or damaged is refused with the list, and what is only worth a look is told as `RowWarning`.
        trim: take the best 30 seconds of files that are longer, and tell so.

    Raises:
        ConfigurationError: an option cannot work; out of the iteration: the extra `[audio]` is missing, and needed.
        ManifestError: out of the iteration: the list is wrong; nothing was sent.
        LedgerError: out of the iteration: the ledger cannot be used, or written any more.
        AccountError: out of the iteration, after `Finished`: the account stopped it.
        VoiceprintError: out of the iteration, after `Finished`: nothing can be sent until somebody looks after it.
    """
    if isinstance(rows, str | bytes | os.PathLike):
        raise TypeError("Give rows: Manifest(path) reads a list, rows_from_sources([path]) a folder.")
    if client.engine.retry_policy.replay_unknown:
        raise ConfigurationError(
            "RetryPolicy(replay_unknown=True) may pay twice without the ledger's knowing. Leave it out, and say "
            "on_unknown='resubmit': it counts what may be paid twice."
        )
    options = Options(
        model=model,
        resolve=resolve,
        on_unknown=on_unknown,
        retry_failed=retry_failed,
        retry_expired=retry_expired,
        allow_shared_audio=allow_shared_audio,
        skip_invalid=skip_invalid,
        replace=replace,
        max_jobs=max_jobs,
        new_key=new_key,
        origin=origin,
        preflight=preflight,
        trim=trim,
    )
    opened = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
    return Enrollment(client, rows, opened.store, options, owns_ledger=not opened.is_open)
