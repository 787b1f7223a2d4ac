"""The files of `identify`: `--out` with all results, and the picture of `--plot`."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from pyannote_voiceprint_async.audio.picture import check_plot_installed
from pyannote_voiceprint_async.enrollment.ledger.earlier_output import IDENTIFY_SOFTWARE, Content
from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile
from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.identification import Identification
from pyannote_voiceprint_async.identification_result.picture import TimelinePanel, draw_timelines
from pyannote_voiceprint_async.local_files import reason_of
from pyannote_voiceprint_async.redaction import printable

from .formatting import format_count

__all__ = ["IdentifyFiles", "RecordingResult"]

# A picture grows by one panel for each recording.
_MAX_PANELS = 20


class RecordingResult(NamedTuple):
    """The record of one recording, and its identification if there is one."""

    label: str
    record: Mapping[str, Any]
    identification: Identification | None = None


def _to_lines(results: Sequence[RecordingResult]) -> str:
    return "".join(f"{json.dumps(result.record, ensure_ascii=False)}\n" for result in results)


def _to_array(results: Sequence[RecordingResult]) -> str:
    lines = ",\n".join(json.dumps(result.record, ensure_ascii=False) for result in results)
    return f"[\n{lines}\n]\n"


def _to_rttm(results: Sequence[RecordingResult]) -> str:
    return "".join(
        result.identification.to_rttm("_".join(result.label.split()))
        for result in results
        if result.identification is not None
    )


_FORMATS: Mapping[str, tuple[Content, Callable[[Sequence[RecordingResult]], str]]] = {
    ".jsonl": ("identifications", _to_lines),
    ".json": ("identification-array", _to_array),
    ".rttm": ("rttm", _to_rttm),
}


class IdentifyFiles:
    """The output files of one command, checked before anything is sent and written at its end.

    Args:
        out: the file for the results, if any; its ending chooses the format.
        plot: the file for the picture, if any.
        force: replace a file that is not earlier output of the command.
        inputs: the files that the command reads.
        recordings: how many recordings there are.

    Raises:
        click.UsageError: the ending of a file is unknown, or there are too many recordings for a picture.
        ConfigurationError: a file cannot be written, or matplotlib is missing.
    """

    def __init__(
        self, out: Path | None, plot: Path | None, *, force: bool, inputs: Sequence[Path], recordings: int
    ) -> None:
        self._files: list[tuple[OutputFile, Callable[[Sequence[RecordingResult]], bytes | str], str]] = []
        if out is not None:
            content, form = _format_of(out)
            self._files.append((OutputFile(out, content, force), form, "Results"))
        if plot is not None:
            if plot.suffix.lower() != ".png":
                raise click.UsageError(f"--plot must end in .png, not {plot.name!r}.")
            if recordings > _MAX_PANELS:
                raise click.UsageError(
                    f"--plot draws up to {_MAX_PANELS} recordings, not {recordings}: pass fewer recordings."
                )
            check_plot_installed()
            self._files.append((OutputFile(plot, "picture", force), _draw, "Picture"))
        for file, _, _ in self._files:
            file.check(*inputs)

    def write(self, results: Sequence[RecordingResult]) -> tuple[list[str], list[str]]:
        """Write the files. Return a line for each file that was written, and an error for each other file."""
        written: list[str] = []
        problems: list[str] = []
        for file, form, name in self._files:
            try:
                content = form(results)
                with file.write() as opened:
                    if isinstance(content, bytes):
                        opened.buffer.write(content)
                    else:
                        opened.write(content)
            except OSError as exc:
                problems.append(f"{file.path} cannot be written ({reason_of(exc)}).")
            except ConfigurationError as error:
                problems.append(str(error))
            else:
                written.append(f"{name} of {format_count(len(results), 'recording')}: {file.path}")
        return written, problems


def _format_of(out: Path) -> tuple[Content, Callable[[Sequence[RecordingResult]], str]]:
    if out.suffix.lower() in _FORMATS:
        return _FORMATS[out.suffix.lower()]
    if not out.suffix and OutputFile(out, "identifications").is_stream:
        return _FORMATS[".jsonl"]
    raise click.UsageError(f"--out must end in {', '.join(_FORMATS)}, not {out.name!r}.")


def _draw(results: Sequence[RecordingResult]) -> bytes:
    panels = [
        TimelinePanel(printable(result.label), result.identification)
        for result in results
        if result.identification is not None
    ]
    picture = io.BytesIO()
    draw_timelines(panels, picture, software=IDENTIFY_SOFTWARE)
    return picture.getvalue()
