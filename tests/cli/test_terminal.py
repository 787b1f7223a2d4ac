"""Bytes that reach a terminal: only our own control characters. Streams that are closed, full or not UTF-8."""

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from audio_files import speechlike, wav
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pyannote_voiceprint_async.cli.terminal import LossyText, StderrText, safe_lines
from pyannote_voiceprint_async.redaction import printable, printable_lines

# Sets the title, clears the screen (7 bits and 8 bits), begins a line of its own, and hides and turns text.
_NASTY = "a\x1b]0;pwned\x07\x1b[2J\x9b2J\x7f\r\u202e\u200d\u2028[red]z"
# The same, as far as a file may be called so or a cell may hold it; with a line break.
_NASTY_NAME = f"{_NASTY}\nError: forged"

# What rich draws its progress line with: colors, the cursor, and erasing lines.
_OURS = re.compile(rb"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[0-9]*[AK]|\x1b\[2K|\r")
_STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def assert_harmless(shown: bytes) -> None:
    text = _OURS.sub(b"", shown).decode()
    assert not _STEERS.search(text), text
    assert not [line for line in text.splitlines() if line.startswith("Error: forged")], text


def _is_utf8(text: str) -> bool:
    return text.encode("utf-8", "ignore").decode() == text


@pytest.fixture
def hostile_api():
    """An API whose every response contains a hostile text, in the shape that the request expects."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status = 200 if self.server.is_fine else 401
            job = {"id": _NASTY_NAME, "status": _NASTY_NAME, "createdAt": _NASTY_NAME}
            output = {"message": _NASTY_NAME, "error": _NASTY_NAME, "warning": _NASTY_NAME}
            is_job = {"jobId": _NASTY_NAME if self.server.is_nasty_id else "j", "status": "failed", "output": output}
            body = json.dumps({**output, **is_job, "items": [job], "nextCursor": None}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the base class calls it so

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.is_fine = server.is_nasty_id = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hostile_folder(tmp_path):
    """Files with hostile names and contents."""
    (tmp_path / f"{_NASTY_NAME}.wav").write_bytes(wav(speechlike(4)))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / f"{_NASTY_NAME}.wav").write_bytes(b"no audio")
    (tmp_path / f"{_NASTY_NAME}.csv").write_text(f'label,"src{_NASTY_NAME}"\na,b\n')
    (tmp_path / "labels.csv").write_text(f'label,source\n"{_NASTY_NAME}",https://e.com/1\n')
    (tmp_path / "labels.jsonl").write_text(
        json.dumps({"label": f"x{_NASTY_NAME}", "source": "https://e.com/unreachable"}) + "\n"
    )
    (tmp_path / f"{_NASTY_NAME}.ledger").write_text("no ledger")
    (tmp_path / f"{_NASTY_NAME}.txt").write_text("precious")
    (tmp_path / "turns.rttm").write_text(f"SPEAKER x 1 0.0 3.0 <NA> <NA> {_NASTY.replace(chr(13), '')} <NA> <NA>\n")
    return tmp_path


_COMMANDS = [
    [_NASTY_NAME],
    [f"--{_NASTY_NAME}"],
    ["check", f"--{_NASTY_NAME}"],
    ["jobs", "--status", _NASTY_NAME],
    ["check", "--rate-limit", _NASTY_NAME],
    ["check", "--sandbox", "--base-url", _NASTY_NAME],
    ["check", "--base-url", f"http://{_NASTY_NAME}"],
    ["job", _NASTY_NAME, "--sandbox"],
    ["submit", f"https://e.com/{_NASTY_NAME}"],
    ["submit", _NASTY_NAME],
    ["upload", _NASTY_NAME],
    ["voiceprint", _NASTY_NAME],
    ["voiceprint", "--sandbox", f"{_NASTY_NAME}.wav"],
    ["voiceprint", "--sandbox", "broken"],
    ["voiceprint", "--sandbox", "--no-preflight", "broken"],
    ["voiceprint", "--sandbox", "https://e.com/a", "--out", f"{_NASTY_NAME}.txt"],
    ["inspect", f"{_NASTY_NAME}.wav", "broken"],
    ["inspect", _NASTY_NAME],
    ["enroll", "--sandbox", f"{_NASTY_NAME}.csv"],
    ["enroll", "--sandbox", "labels.csv"],
    ["enroll", "--sandbox", "--dry-run", "labels.csv", "--skip-invalid"],
    ["enroll", "--sandbox", "labels.jsonl"],
    ["enroll", "--sandbox", "labels.jsonl", "--skip-invalid", "--out", "/dev/stdout", "--report", "/dev/stderr"],
    ["enroll", "--sandbox", "broken"],
    ["enroll", "--sandbox", f"{_NASTY_NAME}.wav", "-vv"],
    ["enroll", "--sandbox", "https://e.com/a", "--report", f"{_NASTY_NAME}.txt"],
    ["enroll", "--sandbox", "https://e.com/a", "--ledger", f"{_NASTY_NAME}.ledger"],
    ["enroll", "--sandbox", "https://e.com/a", "--ledger", f"{_NASTY_NAME}/x.ledger"],
    ["enroll", "--sandbox", f"{_NASTY_NAME}.txt"],
    ["export", f"{_NASTY_NAME}.ledger"],
    ["export", _NASTY_NAME, "--out", f"{_NASTY_NAME}.txt"],
    ["ledger", "status", f"{_NASTY_NAME}.ledger"],
    ["ledger", "forget", _NASTY_NAME, _NASTY_NAME],
    ["manifest", "from-rttm", "turns.rttm", "--audio", f"{_NASTY_NAME}.wav", "--file-id", "x"],
    ["manifest", "from-rttm", "turns.rttm", "--audio", f"{_NASTY_NAME}.wav", "--label", _NASTY_NAME],
    ["manifest", "from-rttm", _NASTY_NAME, "--audio", _NASTY_NAME],
    ["sandbox", "--fault", _NASTY_NAME],
    ["sandbox", "--store", f"{_NASTY_NAME}/x"],
    ["sandbox", "--host", _NASTY],
]  # fmt: skip
_REQUESTS = [
    ["check", "-vv"], ["jobs"], ["job", "j"], ["submit", "https://e.com/a"], ["voiceprint", "https://e.com/a"],
    ["enroll", "https://e.com/a"],
]  # fmt: skip


@pytest.fixture(scope="module")
def on_terminals(on_terminal):
    """Run each command on its own terminal; return the exit codes and the bytes that the terminals received."""

    def run(folder, commands, **environment) -> list[tuple[int, bytes]]:
        return [on_terminal(*arguments, cwd=folder, environment=environment) for arguments in commands]

    return run


def assert_all_harmless(results, commands, codes):
    assert len(results) == len(commands)
    for command, (code, shown) in zip(commands, results, strict=True):
        assert shown, command
        assert code in codes, (command, shown)
        assert b"Traceback" not in shown, (command, shown)
        assert_harmless(shown)


@pytest.mark.slow
@pytest.mark.parametrize("half", [0, 1])
def test_control_characters_of_arguments_and_files_are_escaped(on_terminals, hostile_folder, half):
    commands = _COMMANDS[half::2]
    results = on_terminals(hostile_folder, commands, PYANNOTEAI_API_KEY="k")
    assert_all_harmless(results, commands, {0, 1, 2})


@pytest.mark.parametrize(("is_fine", "is_nasty_id"), [(True, False), (True, True), (False, False)])
def test_control_characters_of_responses_are_escaped(on_terminals, hostile_api, tmp_path, is_fine, is_nasty_id):
    hostile_api.is_fine, hostile_api.is_nasty_id = is_fine, is_nasty_id
    url = f"http://127.0.0.1:{hostile_api.server_port}"
    results = on_terminals(tmp_path, _REQUESTS, PYANNOTEAI_API_KEY="k", PYANNOTEAI_BASE_URL=url)
    assert_all_harmless(results, _REQUESTS, {0, 1, 3})
    assert b"pwned" in b"".join(shown for _, shown in results)


@pytest.mark.parametrize(
    "environment",
    [
        {"PYANNOTEAI_API_KEY": _NASTY},
        {"PYANNOTEAI_API_KEY": "k", "PYANNOTEAI_BASE_URL": f"http://{_NASTY_NAME}"},
        {"PYANNOTEAI_API_KEY": "k", "PYANNOTEAI_BASE_URL": "http://127.0.0.1:9", "HTTP_PROXY": _NASTY_NAME},
    ],
    ids=["key", "base URL", "proxy"],
)
def test_control_characters_of_environment_variables_are_escaped(on_terminals, tmp_path, environment):
    commands = [["submit", "https://e.com/a"]]
    assert_all_harmless(on_terminals(tmp_path, commands, **environment), commands, {1, 2})


@settings(max_examples=4, deadline=None, phases=[Phase.generate])
@given(st.lists(st.text(min_size=1).filter(lambda text: "\0" not in text and _is_utf8(text)), min_size=6, max_size=6))
def test_control_characters_of_any_text_are_escaped(on_terminals, texts):
    """Labels, names, arguments and messages of any characters."""
    first, *others = texts
    with TemporaryDirectory() as folder:
        rows = [{"label": text, "source": "https://e.com/unreachable"} for text in others]
        (Path(folder) / "l.jsonl").write_text("\n".join(map(json.dumps, rows)))
        (Path(folder) / "l.csv").write_text(f'label,"{first}"\na,b\n', encoding="utf-8", newline="")
        commands = [
            [first], ["check", f"--{first}"], ["inspect", "--", first], ["ledger", "forget", "--", "l.ledger", *others],
            ["enroll", "--sandbox", "l.csv"], ["enroll", "--sandbox", "l.jsonl", "--skip-invalid"],
        ]  # fmt: skip
        for _, shown in on_terminals(folder, commands):
            assert_harmless(shown)


def test_control_characters_of_a_traceback_are_escaped():
    """The command runs on its own terminal, because Python 3.13 colors tracebacks there."""
    script = (
        "from pyannote_voiceprint_async.cli.terminal import filter_streams; filter_streams(); "
        f"raise ZeroDivisionError({_NASTY!r})"
    )
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        process = subprocess.Popen([sys.executable, "-c", script], stdout=theirs, stderr=theirs)
        os.close(theirs)
        shown = b""
        try:
            while piece := terminal.read(65536):
                shown += piece
        except OSError:
            pass
        assert process.wait(timeout=60) == 1
    assert b"ZeroDivisionError: a\\u001b]0;pwned" in shown
    assert b"\x1b" not in shown
    assert_harmless(shown)


@given(st.text())
def test_escaped_text_is_printable(text):
    assert printable(text).isprintable()
    assert all(line.isprintable() for line in printable_lines(text).split("\n"))
    assert all(line.isprintable() for line in safe_lines(text).split("\n  "))
    assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize("text", ["María", "王芳", "[red]", "😀", "a b", 'say "x" \\ y'])
def test_printable_text_is_unchanged(text):
    assert printable(text) == printable_lines(text) == safe_lines(text) == text


def test_only_the_line_breaks_of_a_list_are_kept():
    assert safe_lines("Wrong:\n  one\n  two\nError: forged") == "Wrong:\n  one\n  two\\nError: forged"


# Streams that take nothing, or not everything


_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
_RESULTS = [
    ["check", "--sandbox"],
    ["voiceprint", "--sandbox", "https://e.com/a"],
    ["submit", "--sandbox", "media://a"],
]


def shell(tmp_path, command_line: str, **environment) -> subprocess.CompletedProcess:
    """Run a shell command line in which `pv` is the command."""
    command = f"{sys.executable} -m pyannote_voiceprint_async.cli"
    return subprocess.run(
        ["/bin/bash", "-c", f'set -o pipefail; pv() {{ {command} "$@"; }}; {command_line}'],
        cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("arguments", _RESULTS, ids=lambda arguments: arguments[0])
def test_nothing_is_sent_when_stdout_is_closed(tmp_path, arguments):
    done = shell(tmp_path, f"pv {' '.join(arguments)} >&-")
    assert (done.returncode, done.stdout) == (2, b"")
    assert (
        done.stderr
        == b"Error: Nothing was sent: stdout is closed, and the results would be lost. Redirect stdout to a file.\n"
    )


@pytest.mark.parametrize(
    ("command_line", "code"),
    [
        ("pv enroll --sandbox https://e.com/a >&-", 0),
        ("pv enroll --sandbox https://e.com/a 2>&-", 0),
        ("pv enroll --sandbox https://e.com/a <&- >&- 2>&-", 0),
        ("pv check --sandbox 2>&-", 0),
        ("pv voiceprint --sandbox https://e.com/a 2>&-", 0),
        ("pv nonsense 2>&-", 2),
        ("pv --help >&-", 1),
        ("pv inspect voice.wav >&-", 1),
        ("pv inspect voice.wav 2>&-", 0),
        ("pv manifest from-rttm x.rttm --audio voice.wav --file-id x >&-", 1),
        ("pv --help | head -c 1", 0),
        pytest.param("pv enroll --sandbox https://e.com/a >/dev/full 2>/dev/full", 0, marks=_LINUX),
        pytest.param("pv --help >/dev/full", 1, marks=_LINUX),
        pytest.param("pv inspect voice.wav >/dev/full", 1, marks=_LINUX),
        pytest.param("pv manifest from-rttm x.rttm --audio voice.wav --file-id x >/dev/full", 1, marks=_LINUX),
        pytest.param("pv check --sandbox 2>/dev/full", 0, marks=_LINUX),
    ],
)
def test_a_stream_that_cannot_be_written_causes_no_traceback(tmp_path, command_line, code):
    (tmp_path / "voice.wav").write_bytes(wav(speechlike(4)))
    (tmp_path / "x.rttm").write_text("SPEAKER x 1 0.0 3.0 <NA> <NA> Zoe <NA> <NA>\n")
    done = shell(tmp_path, command_line)
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    if "enroll" in command_line:
        assert (tmp_path / "voiceprints.sandbox.ledger").exists()


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252:strict"])
def test_files_and_pipes_are_utf_8_in_any_locale(tmp_path, encoding):
    """`enroll` and JSON readers expect UTF-8."""
    (tmp_path / "王芳.wav").write_bytes(wav(speechlike(4)))
    (tmp_path / "x.rttm").write_text("SPEAKER x 1 0.0 3.0 <NA> <NA> Zoë王 <NA> <NA>\n", encoding="utf-8")
    inspected = shell(tmp_path, "pv inspect 王芳.wav", PYTHONIOENCODING=encoding)
    assert (inspected.returncode, json.loads(inspected.stdout)["file"]) == (0, "王芳.wav")
    made = shell(
        tmp_path, "pv manifest from-rttm x.rttm --audio 王芳.wav --file-id x > l.csv", PYTHONIOENCODING=encoding
    )
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "l.csv").read_text(encoding="utf-8").splitlines()[1].startswith("Zoë王,王芳.wav,")
    assert shell(tmp_path, "pv enroll --sandbox --dry-run l.csv").returncode == 0
    refused = shell(tmp_path, "pv inspect 芳.wav", PYTHONIOENCODING=encoding)
    assert refused.returncode == 1
    assert b"Traceback" not in refused.stderr


def test_a_terminal_keeps_its_encoding(on_terminal, tmp_path):
    """In Latin-1, the UTF-8 bytes of a name would be control characters."""
    (tmp_path / "né王.wav").write_bytes(wav(speechlike(4)))
    code, shown = on_terminal("inspect", "né王.wav", cwd=tmp_path, environment={"PYTHONIOENCODING": "latin-1"})
    assert code == 0
    assert b"n\xe9\\u738b.wav" in shown
    assert not re.search(rb"[\x80-\x9f]", shown)


def test_a_closed_terminal_stops_no_run():
    class Gone:
        encoding = "utf-8"

        def write(self, _=""):
            raise OSError(5, "Input/output error")

        flush = write

    for kind in (LossyText, StderrText):
        stream = kind(Gone())
        assert stream.write("text") == 4
