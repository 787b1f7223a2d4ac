"""`export` writes neither to stdout nor over the list."""

import json
import stat

import pytest

from pyannote_voiceprint_async.sandbox import voiceprint_of

_URL = "https://e.com/ada.wav"


@pytest.fixture
def ledger(command, quick_sandbox, tmp_path):
    """A ledger with one voiceprint, beside its list."""
    (tmp_path / "speakers.csv").write_text(f"label,source\nAda,{_URL}\n")
    assert command("enroll", tmp_path / "speakers.csv", environment=quick_sandbox.environment).returncode == 0
    return tmp_path / "speakers.ledger"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([], "speakers.voiceprints.jsonl"),
        (["--format", "csv"], "speakers.voiceprints.csv"),
        (["--format", "json"], "speakers.voiceprints.json"),
        (["--out", "mine.json"], "mine.json"),
        (["--out", "mine", "--format", "csv"], "mine"),
    ],
)
def test_the_name_and_format_of_the_export(command, ledger, tmp_path, arguments, name):
    before = (tmp_path / "speakers.csv").read_text()
    result = command("export", ledger, *arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert voiceprint_of(_URL) in (tmp_path / name).read_text()
    assert voiceprint_of(_URL) not in result.stderr
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert result.stderr.startswith("1 voiceprint ")
    assert (tmp_path / "speakers.csv").read_text() == before


def test_a_json_export_is_ready_for_identification(command, ledger, tmp_path):
    command("export", ledger, "--format", "json", "--out", tmp_path / "mine")
    assert json.loads((tmp_path / "mine").read_text()) == {"Ada": voiceprint_of(_URL)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.ledger"], "There is no ledger gone.ledger."),
        (["speakers.csv"], "speakers.csv is not a ledger"),
        (["speakers.ledger", "--out", "speakers.csv"], "holds something other than voiceprints"),
        (["speakers.ledger", "--out", "speakers.ledger"], "is read by this command"),
        (["speakers.ledger", "--out", "."], "is a directory"),
        (["speakers.ledger", "--out", "speakers.ledger.lock"], "is read by this command"),
        (["speakers.ledger", "--out", "speakers.ledger-wal"], "is read by this command"),
        (["speakers.ledger", "--format", "xml"], "'xml' is not one of"),
        (["speakers.ledger", "--out", "o.parquet"], "An export is a .jsonl, .csv or .json file."),
        (["speakers.ledger", "--out", "o.xlsx", "--format", "csv"], "o.xlsx has the ending of another format"),
        (["speakers.ledger", "--out", "o.json", "--format", "csv"], "Choose a name that ends in .csv."),
        (["speakers.ledger", "--format", "json", "--model", "x"], "no voiceprint of the model 'x'"),
    ],
)
def test_wrong_usage_is_exit_code_2(command, ledger, tmp_path, arguments, message):
    result = command("export", *arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr
    assert {path.suffix for path in tmp_path.iterdir()} <= {".csv", ".ledger", ".ledger-journal"}
