"""The function that starts a bulk enrollment."""

import os
from collections.abc import AsyncIterable, Iterable

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.ledger import Ledger
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem, Row
from pyannote_voiceprint_async.enrollment.run.enrollment import Enrollment
from pyannote_voiceprint_async.enrollment.run.runner import EnrollmentRun
from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.models import Model

from .options import Confirm, OnUnknown, Options, Resolve
from .plan import DEFAULT_PRICE

__all__ = ["enroll"]


def enroll(  # noqa: PLR0913 - the options of a run, by keyword
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
    price: float = DEFAULT_PRICE,
    confirm: Confirm | None = None,
) -> Enrollment:
    """Enroll a list of speakers: submit each recording once, wait for its voiceprint, and write it to a ledger.

    Returns an async iterator over events; the last event is `Finished` with the report. Use it with `async with`. A run
    may be killed at any instant and started again with the same ledger: the next run waits for the jobs that are
    accepted, submits the other rows, and does not bill rows again that have their voiceprint.

    Args:
        client: the client.
        rows: the list, such as a `Manifest`. It is read piece by piece; a sync iterable is read in a worker thread.
        ledger: the ledger or its path. A ledger that is already open stays open.
        model: the model for rows that name none.
        resolve: a sync or async function that returns the URL of a row just before the row is submitted, for example a
            presigned URL. A row's `source` may be any text that the function understands.
        on_unknown: what to do with a row of unknown outcome, if a job that is not in the ledger was created at the
            time of its submission. `"hold"`: leave the row as it is, and report it. `"resubmit"`: submit the row once
            more (it may be billed twice). `"adopt"`: use that job as the job of the row; only if no other program uses
            the key.
        retry_failed: submit rows again that failed with this text in their error; an empty text means all failed rows.
        retry_expired: resubmit rows whose result expired before it was fetched (billed again).
        allow_shared_audio: allow several labels for the same audio, which is submitted once for all of them.
        skip_invalid: leave out invalid rows. By default an invalid row ends the run before anything is sent.
        replace: submit rows whose label was billed before with a URL that differs only in its query (billed again). By
            default such a row is invalid: its URL is probably of the same recording, signed anew in an unknown way.
        max_jobs: the highest number of jobs to submit.
        new_key: accept that the client's key is not the one that the ledger was created with. Both must belong to the
            same team.
        origin: the name of the API in the ledger. By default the client's base URL.
        preflight: check audio files before anything is sent, if the extra `[audio]` is installed. Files that are too
            long, silent or damaged are invalid rows; smaller findings are reported as `RowWarning`.
        trim: submit the best 30 seconds of files that are too long, and report this as `RowWarning`.
        price: the price of a job in EUR, for the costs in `RunPlan` and `Report`. The default, 0.015, is
            an estimate from public documentation and programs, as of October 2026. The plan page of pyannoteAI's
            dashboard has your price.
        confirm: a sync or async function that is called with the `RunPlan` after the list is read and before the first
            request. If it returns False, nothing is sent.

    Raises:
        TypeError: `rows` is a path or text.
        ConfigurationError: an option cannot work; raised from the iteration if the extra `[audio]` is missing.
        EnrollmentError: raised from the iteration after `Finished`: `confirm` returned False; or, with
            `outcome_unknown`, the API accepts submissions whose responses do not arrive.
        ManifestError: raised from the iteration: the list is invalid; nothing was sent.
        LedgerError: raised from the iteration: the ledger cannot be used, or can no longer be written.
        AccountError: raised from the iteration after `Finished`: the API refuses the account or the key.
        VoiceprintError: raised from the iteration after `Finished`: no row can be submitted until a person acts.
    """
    if isinstance(rows, str | bytes | os.PathLike):
        raise TypeError(
            "rows must be an iterable of rows, not a path: Manifest(path) reads a list, rows_from_sources([path]) a "
            "directory."
        )
    if client.engine.retry_policy.replay_unknown:
        raise ConfigurationError(
            "RetryPolicy(replay_unknown=True) may be billed twice without a record in the ledger. Remove it, and use "
            "on_unknown='resubmit', which counts the submissions that may be billed twice."
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
        price=price,
        confirm=confirm,
    )
    opened = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
    return Enrollment(EnrollmentRun(client, rows, opened.store, options, owns_ledger=not opened.is_open))
