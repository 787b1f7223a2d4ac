"""The picture of `inspect --plot`."""

import io
from collections.abc import Sequence
from pathlib import Path

import click

from pyannote_voiceprint_async.audio.envelope import trace_envelope
from pyannote_voiceprint_async.audio.picture import Panel, check_plot_installed, draw
from pyannote_voiceprint_async.enrollment.ledger.earlier_output import PICTURE_SOFTWARE
from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile
from pyannote_voiceprint_async.errors import MediaError
from pyannote_voiceprint_async.redaction import printable

from .exit_codes import Failure
from .formatting import format_count

__all__ = ["InspectPicture"]

_MOST_FILES = 20


class InspectPicture:
    """A PNG file with a panel for each recording.

    Args:
        file: the file.
        paths: the recordings.

    Raises:
        click.UsageError: there are too many recordings, or the file is not named like a PNG file.
        ConfigurationError: matplotlib is missing, or the file cannot be written.
    """

    def __init__(self, file: OutputFile, paths: Sequence[Path]) -> None:
        if file.path.suffix.lower() != ".png":
            raise click.UsageError(f"--plot must end in .png, not {file.path.name!r}.")
        if len(paths) > _MOST_FILES:
            raise click.UsageError(f"--plot draws up to {_MOST_FILES} files, not {len(paths)}: pass fewer files.")
        check_plot_installed()
        file.check(*paths)
        self._file = file
        self._panels: list[Panel] = []

    def add(self, path: Path, title: str) -> bool:
        """Add a recording. Return False if it cannot be decoded here."""
        try:
            self._panels.append(Panel(printable(title), trace_envelope(path)))
        except MediaError:
            return False
        return True

    def write(self) -> str:
        """Write the picture, and return the line that reports it.

        Raises:
            Failure: it cannot be written.
        """
        if not self._panels:
            return "No picture was written: no file can be decoded here."
        picture = io.BytesIO()
        draw(self._panels, picture, software=PICTURE_SOFTWARE)
        try:
            with self._file.write() as file:
                file.buffer.write(picture.getvalue())
        except OSError as exc:
            raise Failure(f"{self._file.path} cannot be written ({exc.strerror or exc}).") from None
        return f"Picture of {format_count(len(self._panels), 'file')}: {self._file.path}"
