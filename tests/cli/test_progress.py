import io
import json
import os
import pty
import re

import attrs
import pytest
from rich.console import Console
from rich.text import Text

from pyannote_voiceprint_async.cli.progress import PlainProgress, create_progress_display, render_progress
from pyannote_voiceprint_async.cli.progress_columns import text_view
from pyannote_voiceprint_async.cli.run_columns import run_view
from pyannote_voiceprint_async.enrollment import Progress


def test_plain_progress_writes_the_time_after_five_seconds_and_at_least_every_30(clock):
    lines = []
    progress = PlainProgress(lines.append, clock)
    for second in range(60):
        clock.jump(float(second))
        progress.show(text_view(second, 60, f"{second} of 60 done"))
    assert [line.split("Z ")[1] for line in lines] == ["5 of 60 done\n", "30 of 60 done\n", "55 of 60 done\n"]
    assert lines[0].startswith("2027-01-15T08:00:05Z ")


def test_plain_progress_as_json_has_time_level_event_and_fields(clock):
    lines = []
    progress = PlainProgress(lines.append, clock, as_json=True)
    clock.jump(30.0)
    progress.show(text_view(3, 4, "3 of 4 done"))
    assert [json.loads(line) for line in lines] == [
        {
            "time": "2027-01-15T08:00:30.000Z",
            "level": "info",
            "event": "progress",
            "message": "3 of 4 done",
            "done": 3,
            "total": 4,
        }
    ]


_LARGEST = Progress(
    total=300_000, succeeded=298_765, failed=1_234, queued=285_000, in_flight=64, awaiting_result=1_702,
    rows_per_minute=100.0, seconds_left=187_000.0,
)  # fmt: skip
_PAUSED = attrs.evolve(
    _LARGEST, paused_for="The API did not respond to several submissions in a row.", pause_seconds=42
)


def drawn(progress: Progress, width: int, **options) -> str:
    """Return what the live display writes to a terminal of a width."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard", **options)
    console.print(render_progress(run_view(progress), width))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("progress", [_LARGEST, _PAUSED, Progress(total=10), Progress(read=12_345)])
def test_the_live_display_fits_the_terminal_and_is_not_cut(progress, width):
    lines = [Text.from_ansi(line).plain.rstrip() for line in drawn(progress, width).splitlines()]
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert "…" not in text
    if progress.failed:
        assert all(column in text for column in ("299999", "/300000" if width < 200 else "of 300000", "1234 failed"))
        assert ("100/min" if width < 200 else "100 a minute") in text
        assert ("2 d 4 h left" if width < 200 else "2 days 4 h left") in text
    if progress.paused_for:
        assert f"paused: {progress.paused_for} The next attempt is in 42 s." in text
        assert "━" in text


def test_the_live_display_has_no_color_that_a_light_or_dark_background_hides():
    """Only standard green, red and magenta: no white, black, bright, or own color."""
    codes = {code for found in re.findall(r"\x1b\[([\d;]+)m", drawn(_PAUSED, 80)) for code in found.split(";")}
    assert codes <= {"0", "2", "31", "32", "35"}
    assert {"31", "35"} <= codes


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    codes = {code for found in re.findall(r"\x1b\[([\d;]+)m", drawn(_PAUSED, 80)) for code in found.split(";")}
    assert codes <= {"0", "2"}


def test_only_a_capable_terminal_has_a_live_line(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    terminal, side = pty.openpty()
    with os.fdopen(terminal, "rb"), os.fdopen(side, "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        assert type(create_progress_display()).__name__ == "LiveProgress"
        monkeypatch.setenv("TERM", "dumb")
        assert type(create_progress_display()).__name__ == "PlainProgress"


def test_a_display_of_several_lines_does_not_erase_the_lines_that_are_written_between(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    terminal, side = pty.openpty()
    with os.fdopen(terminal, "rb", buffering=0) as screen, os.fdopen(side, "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        display = create_progress_display()
        display.show(run_view(_PAUSED))
        with display.hidden():
            stderr.write("one\ntwo\nthree\n")
            stderr.flush()
        display.close()
        stderr.write("end")
        stderr.flush()
        seen = ""
        while not seen.endswith("end"):
            seen += screen.read(4096).decode("utf-8", "ignore")
    # From the beginning of the next display, where the cursor is hidden, to its end.
    drawn_again = seen.partition("three")[2].partition("\x1b[?25h")[0]
    assert "\x1b[?25l" in drawn_again
    assert "\x1b[1A" not in drawn_again


def test_the_live_line_is_removed_at_the_end_and_other_lines_are_intact(spawn, speech):
    """The progress line is erased before each other line, and the cursor is restored."""
    terminal, side = pty.openpty()
    process = spawn(
        "voiceprint", "--sandbox", speech / "june-fr.wav", stderr=side, environment={"TERM": "xterm", "COLUMNS": "80"}
    )
    os.close(side)
    seen = b""
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        try:
            while piece := screen.read(4096):
                seen += piece
        except OSError:  # Linux: all programs have closed the terminal
            pass
    process.communicate(timeout=60)
    text = seen.decode()
    assert process.returncode == 0
    assert "0 of 1 done, 1 submitted" in text
    assert text.endswith("\x1b[2KAll well: 1 voiceprint.\r\n")
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
