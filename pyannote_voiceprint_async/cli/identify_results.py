"""The results of `identify`, written one by one as they arrive."""

from collections.abc import Iterable, Sequence
from functools import partial

import attrs

from pyannote_voiceprint_async.errors import AccountError, VoiceprintError
from pyannote_voiceprint_async.identification import Identification
from pyannote_voiceprint_async.models import JobCreated

from .identify_files import RecordingResult
from .identify_recordings import Recording
from .identify_records import failed_recording_record, identification_record
from .identify_text import identification_lines
from .output import Output
from .progress_columns import text_view

__all__ = ["ResultWriter"]

# How the sandbox begins its warning, which every one of its results has.
_OF_ALL_RESULTS = "Sandbox: "


class ResultWriter:
    """Writes a record for each recording, and counts them.

    Args:
        output: where results and status lines are written.
        recordings: all recordings.
        model: the model of the voiceprints.
    """

    def __init__(self, output: Output, recordings: Sequence[Recording], model: str) -> None:
        self.waiting = 0
        """The number of submitted jobs whose result is not written yet."""
        self.failed = 0
        """The number of recordings without a complete result."""
        self._output = output
        self._recordings = recordings
        self._model = model
        self._results: dict[int, RecordingResult] = {}
        self._shown_warnings: set[str] = set()

    @property
    def results(self) -> list[RecordingResult]:
        """The results so far, in the order of the recordings."""
        return [self._results[index] for index in sorted(self._results)]

    def unwritten(self) -> list[int]:
        """Return the indexes of the recordings without a record."""
        return [index for index in range(len(self._recordings)) if index not in self._results]

    async def write(
        self,
        index: int,
        identification: Identification | None,
        error: VoiceprintError | None = None,
        job: JobCreated | None = None,
    ) -> None:
        """Write the record of a recording.

        Args:
            index: the recording.
            identification: its result, if there is one; incomplete if there is also an error.
            error: why it has no complete result.
            job: its job, if one was accepted.
        """
        source = self._recordings[index].source
        # An AccountError is the same for all recordings: the command prints it once, at its end.
        if error is not None and not isinstance(error, AccountError):
            await self._output.write_status(f"{source.label}: {error}")
        if identification is None:
            assert error is not None  # noqa: S101 - there is a result or an error
            record = failed_recording_record(source, job, error, self._model)
        else:
            record = identification_record(source, identification)
            if error is not None:
                record |= {"status": "incomplete", "error": str(error)}
        # Recorded before it is written: a cancelled write still completes, and must not be repeated.
        self._results[index] = RecordingResult(source.label, record, identification)
        self.failed += error is not None
        self.show_progress()
        await self._output.write_record(record, partial(self._text_lines, source.label, identification))

    def show_progress(self) -> None:
        """Show how many recordings are done."""
        done, total = len(self._results), len(self._recordings)
        counts = {"failed": self.failed, "submitted": self.waiting}
        parts = [f"{done} of {total} done", *(f"{count} {state}" for state, count in counts.items() if count)]
        self._output.progress.show(text_view(done, total, ", ".join(parts)))

    def _text_lines(self, label: str, identification: Identification | None, width: int) -> Iterable[str]:
        if identification is None:
            return  # the status line of the error is the text for people
        shown = tuple(text for text in identification.warnings if text not in self._shown_warnings)
        # A warning of a recording is shown for each recording.
        self._shown_warnings.update(text for text in shown if text.startswith(_OF_ALL_RESULTS))
        yield from identification_lines(label, attrs.evolve(identification, warnings=shown), width)
