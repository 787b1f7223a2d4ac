import os
import pty
import re

from pyannote_voiceprint_async.cli.progress import PlainProgress, create_progress_display


def test_plain_progress_writes_after_five_seconds_and_at_most_every_ten_more():
    now, lines = 0.0, []
    progress = PlainProgress(lines.append, now=lambda: now)
    for second in range(25):
        now = float(second)
        progress.show(second, 25, f"{second} of 25 done")
    assert lines == ["5 of 25 done\n", "15 of 25 done\n"]


def test_only_a_capable_terminal_has_a_live_line(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    terminal, side = pty.openpty()
    with os.fdopen(terminal, "rb"), os.fdopen(side, "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        assert type(create_progress_display()).__name__ == "LiveProgress"
        monkeypatch.setenv("TERM", "dumb")
        assert type(create_progress_display()).__name__ == "PlainProgress"


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
    assert re.search(r'\x1b\[2K\{"label": "june-fr", .*"status": "submitted", .*\}\r\n', text)
    assert text.endswith("\x1b[2KAll well: 1 voiceprint.\r\n")
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
