"""The arguments of `identify`, checked before anything is sent."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import attrs
import click

from pyannote_voiceprint_async.enrollment.ledger.export import ledger_files
from pyannote_voiceprint_async.enrollment.manifest.names import find_existing
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.errors import ManifestError
from pyannote_voiceprint_async.identification import Speakers, jobs_needed
from pyannote_voiceprint_async.identification.among import make_requests
from pyannote_voiceprint_async.identification.run_plan import IdentificationRunPlan, PlannedJob, plan_run
from pyannote_voiceprint_async.identification.speaker_files import origin_of
from pyannote_voiceprint_async.local_files import reason_of
from pyannote_voiceprint_async.models import IdentificationOptions, IdentificationRequest, Matching, Model

from .exit_codes import WrongUsage
from .formatting import format_count
from .identify_files import IdentifyFiles
from .identify_recordings import Recording, check_recordings
from .options import CommonOptions
from .status_view import SANDBOX_ORIGIN

__all__ = ["IdentifyArguments"]


@attrs.frozen(kw_only=True)
class IdentifyArguments:
    """The checked arguments of `identify`."""

    common: CommonOptions
    ledger: Path | None
    """The ledger of a run that can be continued."""
    options: Options
    """What a run with a ledger does with jobs that have no result."""
    speakers: int
    """The number of speakers."""
    max_jobs: int | None
    """The most jobs that the run may submit."""
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
        if not common.sandbox and origin_of(speakers_file) == SANDBOX_ORIGIN:
            raise WrongUsage(
                f"{speakers_file}: the voiceprints were made up by the sandbox, and mean nothing to the API. Nothing "
                "was sent. Enroll the speakers without --sandbox, or identify with --sandbox."
            )
        recordings, note = check_recordings(sources, is_wanted=preflight)
        local = [recording.source.source for recording in recordings if isinstance(recording.source.source, Path)]
        ledger = None if ledger_option is None else find_existing(ledger_option)
        retries = {field.name: values.pop(field.name) for field in attrs.fields(Options) if field.name in values}
        if ledger is None and Options(**retries) != Options():
            raise click.UsageError("--on-unknown, --retry-failed, --retry-expired and --new-key need --ledger.")
        inputs = [speakers_file, *local, *(ledger_files(ledger) if ledger is not None else ())]
        files = IdentifyFiles(out, plot, force=force, inputs=inputs, recordings=len(recordings))
        per_recording = jobs_needed(speakers)
        if max_jobs is None and per_recording > 1:
            needed = _needed(len(speakers), len(recordings), per_recording * len(recordings))
            raise click.UsageError(
                f"Nothing was sent: {needed}. Confirm with --max-jobs {per_recording * len(recordings)}, or name fewer "
                "speakers."
            )
        options = IdentificationOptions(
            model=model or speakers.model or Model.PRECISION_2,
            matching=Matching(values.pop("threshold"), values.pop("exclusive_matching")),
            num_speakers=values.pop("num_speakers"),
            exclusive=values.pop("exclusive_diarization"),
        )
        return cls(
            common=common,
            ledger=ledger,
            options=Options(**retries),
            speakers=len(speakers),
            max_jobs=max_jobs,
            recordings=recordings,
            requests=make_requests(speakers, expected, per_recording, options),
            files=files,
            notes=[note] if note else [],
            timeout=timeout,
            dry_run=dry_run,
            as_json=as_json,
            **values,
        )

    def plan(self) -> IdentificationRunPlan:
        """Return the plan of a run without a ledger."""
        jobs = [
            PlannedJob(isinstance(recording.source.source, Path), recording.seconds)
            for recording in self.recordings
            for _ in self.requests
        ]
        return plan_run(jobs, self.options, now=0.0)

    def check_plan(self, plan: IdentificationRunPlan) -> None:
        """Check that a run submits at most `--max-jobs`.

        Raises:
            click.UsageError: the run would submit more.
        """
        jobs = plan.counts.jobs + plan.counts.possible_jobs
        if self.max_jobs is not None and jobs > self.max_jobs:
            raise click.UsageError(
                f"Nothing was sent: {_needed(self.speakers, len(self.recordings), jobs)}, and --max-jobs is "
                f"{self.max_jobs}. Raise --max-jobs, or pass fewer speakers or recordings."
            )


def _load_speakers(path: Path, model: str | None) -> Speakers:
    try:
        return Speakers.load(path, model=model)
    except OSError as exc:
        raise click.UsageError(f"{path} cannot be read ({reason_of(exc)}).") from None
    except ManifestError as error:
        raise WrongUsage(f"{path}: {error}") from None


def _needed(speakers: int, recordings: int, jobs: int) -> str:
    return (
        f"{format_count(speakers, 'speaker')} and {format_count(recordings, 'recording')} need "
        f"{format_count(jobs, 'job')}, each billed for the whole recording"
    )
