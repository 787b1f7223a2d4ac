"""A command replaces only empty files and its own earlier output, checked before and while writing."""

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from pyannote_voiceprint_async import ConfigurationError
from pyannote_voiceprint_async.enrollment import Report, RunPlan
from pyannote_voiceprint_async.enrollment.ledger.earlier_output import RESULT_FIELDS
from pyannote_voiceprint_async.enrollment.ledger.output_file import OutputFile

_REPORT = json.dumps(Report(rows=3, failures={"x": 1}).to_dict(), indent=2)
_DRY_RUN = json.dumps(RunPlan(rows=3).to_dict(), indent=2)
_RESULT = json.dumps(dict.fromkeys(RESULT_FIELDS)) + "\n"


@pytest.mark.parametrize(
    ("content", "held", "is_ours"),
    [
        ("report", "", True),
        ("report", _REPORT, True),
        ("report", _DRY_RUN, True),
        ("report", _REPORT + "my notes", False),
        ("report", "precious", False),
        ("report", "{}", False),
        ("report", '{"rows": 1, "jobs": 2}', False),
        ("report", _REPORT.replace("3", '"3"'), False),
        ("report", "[" * 100_000, False),
        ("report", _RESULT, False),
        ("results", _RESULT, True),
        ("results", _RESULT * 2 + '{"label": "A', True),
        ("results", _RESULT + '{"la\n' + _RESULT, True),
        ("results", _RESULT + "my notes\n", False),
        ("results", '{"label": "a", "source": "https://e.com/1.wav"}\n', False),
        ("results", _REPORT, False),
        ("list", "label,source\n", False),
        ("list", "", True),
    ],
)
def test_only_earlier_output_is_replaced(tmp_path, content, held, is_ours):
    path = tmp_path / "out"
    path.write_text(held)
    if not is_ours:
        with pytest.raises(ConfigurationError, match=r"Choose another file, or overwrite it \(--force\)"):
            OutputFile(path, content).check()
        with pytest.raises(ConfigurationError, match="--force"), OutputFile(path, content).write() as file:
            file.write("new")
        assert path.read_text() == held
    OutputFile(path, content, force=not is_ours).check()
    with OutputFile(path, content, force=not is_ours).write() as file:
        file.write("new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o600)
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_a_binary_file_is_not_earlier_output(tmp_path):
    (tmp_path / "out").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="holds something other"):
        OutputFile(tmp_path / "out", "report").check()


def test_a_file_that_appears_during_the_run_is_not_replaced(tmp_path):
    """A run can take hours, and the file may be created during the run."""
    out = OutputFile(tmp_path / "out", "report")
    out.check()
    with pytest.raises(ConfigurationError, match="holds something other"), out.write() as file:
        file.write("new")
        out.path.write_text("precious")
    assert out.path.read_text() == "precious"
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("force", [False, True])
def test_links_folders_and_inputs_are_refused(tmp_path, force):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "to folder").symlink_to(tmp_path)
    for name in ("link", "loop", "to folder"):
        with pytest.raises(ConfigurationError, match="is a symbolic link"):
            OutputFile(tmp_path / name, "report", force).check()
    with pytest.raises(ConfigurationError, match="it is not a file"):
        OutputFile(tmp_path, "report", force).check()
    with pytest.raises(ConfigurationError, match="is read by this command"):
        OutputFile(tmp_path / "link", "report", force).check(tmp_path / "file")


def test_a_device_accepts_any_output():
    out = OutputFile(Path("/dev/null"), "report")
    out.check()
    with out.write() as file:
        file.write("new")


def test_a_pipe_is_written_directly(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    out, got = OutputFile(tmp_path / "pipe", "report"), []
    out.check()
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_text()))
    reader.start()
    with out.write() as file:
        file.write("new")
    reader.join()
    assert got == ["new"]


@pytest.mark.parametrize("folder", ["/dev/fd", "/proc/self/fd"])
def test_an_open_descriptor_is_written_at_its_position(tmp_path, folder):
    """Data that was written before is kept, as with a shell redirection."""
    if not Path(folder).is_dir():
        pytest.skip(f"no {folder}")
    with (tmp_path / "file").open("w") as file:
        file.write("before\n")
        file.flush()
        out = OutputFile(Path(folder) / str(file.fileno()), "report")
        out.check()
        with out.write() as written:
            written.write("new\n")
    assert (tmp_path / "file").read_text() == "before\nnew\n"


@pytest.mark.parametrize("by", [os.ttyname, "/dev/fd/{}".format])
def test_an_export_on_a_terminal_is_refused_because_it_has_the_values_of_voiceprints(by):
    ours, theirs = os.openpty()
    try:
        path = Path(by(theirs))
        for content in ("jsonl", "csv", "json"):
            with pytest.raises(ConfigurationError, match="is a terminal, which never shows the value"):
                OutputFile(path, content, force=True).check()
            with pytest.raises(ConfigurationError, match="is a terminal"), OutputFile(path, content).write():
                pass
        # Neither a report nor the text of `job` contains a value.
        OutputFile(path, "report").check()
        OutputFile(path, "jobs").check()
    finally:
        os.close(ours)
        os.close(theirs)
