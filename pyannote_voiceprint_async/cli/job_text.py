"""Jobs as text for a terminal."""

from collections.abc import Iterator
from datetime import datetime

from pyannote_voiceprint_async.models import Job, JobSummary

from .text_layout import TextColumn, field_lines, table_line

__all__ = ["JobTable", "job_lines"]

_DATE, _SHORT_DATE = "%Y-%m-%d %H:%M", "%m-%d %H:%M"
_CREATED, _STATUS, _KIND, _MODEL, _ID = (
    TextColumn("CREATED", 16),
    TextColumn("STATUS", 9),
    TextColumn("KIND", 10),
    TextColumn("MODEL", 11),
    TextColumn("JOB ID", 36),
)
# By the width of the terminal: the format of the date, and the columns that fit. The id is last, and is never cut.
_LAYOUTS = (
    (90, _DATE, (_CREATED, _STATUS, _KIND, _MODEL, _ID)),
    (77, _DATE, (_CREATED, _STATUS, _KIND, _ID)),
    (65, _DATE, (_CREATED, _STATUS, _ID)),
    (0, _SHORT_DATE, (_CREATED._replace(width=11), _STATUS, _ID)),
)


def job_lines(job: Job, width: int) -> Iterator[str]:
    """Yield the lines about a job. Times are local. The value of the voiceprint is not among them."""
    output = job.output
    return field_lines(
        [
            ("Job", job.job_id),
            ("Status", str(job.status)),
            ("Created", _local_time(job.created_at, "%Y-%m-%d %H:%M:%S")),
            ("Updated", _local_time(job.updated_at, "%Y-%m-%d %H:%M:%S")),
            ("Voiceprint", _voiceprint_hint(job)),
            ("Warning", (output.warning if output else None) or ""),
            ("Error", (output.error if output else None) or ""),
        ],
        width,
    )


class JobTable:
    """A table of jobs, line by line: a team may have more jobs than fit in memory."""

    def __init__(self) -> None:
        self.is_empty = True

    def lines(self, job: JobSummary, width: int) -> Iterator[str]:
        """Yield the line of the next job, below the titles of the columns if it is the first."""
        date, columns = next(layout[1:] for layout in _LAYOUTS if width >= layout[0])
        if self.is_empty:
            self.is_empty = False
            yield table_line(columns, (column.title for column in columns))
        cells = {
            _CREATED.title: _local_time(job.created_at, date),
            _STATUS.title: str(job.status),
            _KIND.title: job.type or "",
            _MODEL.title: job.model or "",
            _ID.title: job.job_id,
        }
        yield table_line(columns, (cells[column.title] for column in columns))


def _local_time(time: datetime | None, form: str) -> str:
    return "" if time is None else time.astimezone().strftime(form)


def _voiceprint_hint(job: Job) -> str:
    if job.voiceprint is None:
        return ""
    return (
        f"{len(job.voiceprint):,} characters, not shown on a terminal. To save them in a private file: "
        f"pyannote-voiceprint job {job.job_id} --out FILE.jsonl"
    )
