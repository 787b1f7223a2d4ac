"""The arguments of `identify`, checked before anything is sent."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import attrs
import click

from pyannote_voiceprint_async.enrollment.ledger.export import ledger_files
from pyannote_voiceprint_async.enrollment.manifest.names import find_existing
from pyannote_voiceprint_async.identification import Speakers, jobs_needed
from pyannote_voiceprint_async.identification.among import make_requests
from pyannote_voiceprint_async.local_files import reason_of
from pyannote_voiceprint_async.models import IdentificationOptions, IdentificationRequest, Matching, Model

from .formatting import format_count
from .identify_files import IdentifyFiles
from .identify_recordings import Recording, check_recordings
from .options import CommonOptions

__all__ = ["IdentifyArguments"]


@attrs.frozen(kw_only=True)
class IdentifyArguments:
    """The checked arguments."""

    common: CommonOptions
    ledger: Path | None
    """The ledger of a run that can be continued."""
    recordings: Sequence[Recording]
    requests: Sequence[IdentificationRequest] = attrs.field(repr=False)
    """The requests for each recording, one for each 50 speakers, with a placeholder as URL."""
    files: IdentifyFiles
    notes: Sequence[str]
    """What to report before the run."""
    timeout: float
    dry_run: bool
    as_json: bool

    @classmethod
    def check(  # noqa: PLR0913 - the options of the command
        cls,
        common: CommonOptions,
        *,
        sources: Sequence[str],
        speakers_file: Path,
        ledger_option: Path | None,
        expected: Sequence[str],
        max_jobs: int | None,
        out: Path | None,
        plot: Path | None,
        force: bool,
        preflight: bool,
        model: str | None,
        timeout: float,
        dry_run: bool,
        as_json: bool,
        **values: Any,
    ) -> Self:
        """Check the values of the options, and read the voiceprints. Options that are not named here are in `values`.

        Raises:
            click.UsageError: the options contradict each other, or a recording cannot be submitted.
            VoiceprintError: the voiceprints, a label or an output file cannot be used.
        """
        speakers = _load_speakers(speakers_file, model)
        recordings, note = check_recordings(sources, is_wanted=preflight)
        local = [recording.source.source for recording in recordings if isinstance(recording.source.source, Path)]
        ledger = None if ledger_option is None else find_existing(ledger_option)
        inputs = [speakers_file, *local, *(ledger_files(ledger) if ledger is not None else ())]
        files = IdentifyFiles(out, plot, force=force, inputs=inputs, recordings=len(recordings))
        per_recording = jobs_needed(speakers)
        _check_max_jobs(len(speakers), len(recordings), per_recording, max_jobs)
        options = IdentificationOptions(
            model=model or speakers.model or Model.PRECISION_2,
            matching=Matching(values.pop("threshold"), values.pop("exclusive_matching")),
            num_speakers=values.pop("num_speakers"),
            exclusive=values.pop("exclusive_diarization"),
        )
        return cls(
            common=common,
            ledger=ledger,
            recordings=recordings,
            requests=make_requests(speakers, expected, per_recording, options),
            files=files,
            notes=[note] if note else [],
            timeout=timeout,
            dry_run=dry_run,
            as_json=as_json,
            **values,
        )


def _load_speakers(path: Path, model: str | None) -> Speakers:
    try:
        return Speakers.load(path, model=model)
    except OSError as exc:
        raise click.UsageError(f"{path} cannot be read ({reason_of(exc)}).") from None


def _check_max_jobs(speakers: int, recordings: int, per_recording: int, max_jobs: int | None) -> None:
    jobs = per_recording * recordings
    needed = (
        f"{format_count(speakers, 'speaker')} and {format_count(recordings, 'recording')} need "
        f"{format_count(jobs, 'job')}, each billed for the whole recording"
    )
    if max_jobs is None and per_recording > 1:
        raise click.UsageError(f"Nothing was sent: {needed}. Confirm with --max-jobs {jobs}, or name fewer speakers.")
    if max_jobs is not None and jobs > max_jobs:
        raise click.UsageError(
            f"Nothing was sent: {needed}, and --max-jobs is {max_jobs}. Raise it, or pass fewer speakers or recordings."
        )
