"""Voiceprints of many speakers, from every file that this package writes."""

import asyncio
import csv
import json
import os
import pickle
import traceback

import pytest

from pyannote_voiceprint_async import LedgerError, ManifestError, Voiceprint
from pyannote_voiceprint_async.enrollment import Ledger, Row, enroll
from pyannote_voiceprint_async.identification import Speakers

SECRET = "VOICEPRINT-SECRET"
RESERVED = "must not begin with 'speaker_', which names the speakers of the diarization"
ROW = {"label": "Ann", "status": "succeeded", "job_id": "job-1", "model": "precision-2", "voiceprint": SECRET}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def lines(*rows):
    return "".join(json.dumps(ROW | row) + "\n" for row in rows)


@pytest.fixture
async def ledger(client, speech, tmp_path):
    """A ledger with two enrolled speakers."""
    recordings = [Row(path.stem, path) for path in sorted(speech.glob("*.wav"))[:2]]
    path = tmp_path / "people.ledger"
    async with enroll(client, recordings, ledger=path) as run:
        async for _ in run:
            pass
    return path


async def test_a_ledger_and_its_exports_have_the_same_voiceprints(ledger, tmp_path):
    found = await asyncio.to_thread(Speakers.load, ledger)
    expected = {label: voiceprint async for label, voiceprint in Ledger(ledger).voiceprints()}
    assert dict(found) == expected
    assert (len(found), found.model) == (2, "precision-2")
    for name in ("people.json", "people.jsonl", "people.csv"):
        await Ledger(ledger).export(tmp_path / name)
        exported = await asyncio.to_thread(Speakers.load, tmp_path / name)
        values = {label: getattr(value, "value", value) for label, value in exported.items()}
        assert values == {label: voiceprint.value for label, voiceprint in expected.items()}
        assert exported.model == (None if name == "people.json" else "precision-2")


def test_an_object_of_values(tmp_path):
    found = Speakers.load(write(tmp_path / "x", {"Ann": SECRET, "Bob": "b"}))
    assert dict(found) == {"Ann": SECRET, "Bob": "b"}
    assert found.model is None


def test_an_object_of_stored_voiceprints(tmp_path):
    voiceprint = Voiceprint(SECRET, "precision-3", "job-1")
    found = Speakers.load(write(tmp_path / "x.json", {"Ann": voiceprint.to_dict()}))
    assert dict(found) == {"Ann": voiceprint}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_of_other_programs(tmp_path, encoding):
    path = tmp_path / "x.json"
    path.write_bytes(json.dumps({"Ann": "a"}, indent=2).replace("\n", "\r\n").encode(encoding))
    assert dict(Speakers.load(path)) == {"Ann": "a"}


def test_one_line_is_one_row(tmp_path):
    assert dict(Speakers.load(write(tmp_path / "x", lines({})))) == {"Ann": Voiceprint(SECRET, "precision-2", "job-1")}


def test_rows_without_a_voiceprint_are_skipped(tmp_path):
    path = write(tmp_path / "x.jsonl", lines({}, {"label": "Bob", "voiceprint": None}))
    assert list(Speakers.load(path)) == ["Ann"]
    table = tmp_path / "x.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(ROW))
        writer.writeheader()
        writer.writerows([ROW, ROW | {"label": "Bob", "voiceprint": ""}])
    assert list(Speakers.load(table)) == ["Ann"]


def test_names_are_in_one_unicode_form(tmp_path):
    assert list(Speakers.load(write(tmp_path / "x.json", {"Zoe\u0308": "z"}))) == ["Zo\u00eb"]


def problems(path, **options):
    with pytest.raises(ManifestError) as caught:
        Speakers.load(path, **options)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    frames = [frame for frame in shown.stack if "identification" in frame.filename and "tests" not in frame.filename]
    assert frames
    assert SECRET not in str([frame.locals for frame in frames])
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return [str(problem) for problem in caught.value.problems]


def test_several_models_are_refused_unless_one_is_chosen(tmp_path):
    path = write(tmp_path / "x.jsonl", lines({}, {"label": "Bob", "model": "precision-3"}))
    assert problems(path) == [
        "the voiceprints have several models: precision-2 (1), precision-3 (1); pass model= to choose one"
    ]
    chosen = Speakers.load(path, model="precision-3")
    assert (list(chosen), chosen.model) == (["Bob"], "precision-3")
    assert problems(path, model="precision-4") == []


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"label": "speaker_1"}, f"(speaker_1): the label {RESERVED}"),
        ({"label": ""}, "(): the label must not be empty"),
        ({"label": "x" * 101}, f"({'x' * 100}): the label must be at most 100 characters long, not 101"),
        ({"label": "B", "voiceprint": "v" * 20_001},
         "(B): the voiceprint must be at most 20000 characters long, not 20001"),
        ({}, "(Ann): the label occurs twice"),
    ],
)  # fmt: skip
def test_rows_that_the_api_would_refuse_are_reported(tmp_path, row, problem):
    assert problems(write(tmp_path / "x.jsonl", lines({}, row))) == [f"line 2 {problem}"]


@pytest.mark.parametrize(
    "content",
    [
        "", "hello", "[]", "5", "null", '{"a": 5}', '{"Ann": {"value": 5}}', f'{{"A": "{SECRET}"',
        f'{{"A": ["{SECRET}"]}}',
        f"label,speech\nAnn,{SECRET}\n", lines({}) + f'{{"label": "{SECRET}', lines({"label": 5}), "{" * 100_000,
    ],
)  # fmt: skip
def test_other_files_are_refused(tmp_path, content):
    (problem,) = problems(write(tmp_path / "x.json", content))
    assert problem.startswith("the file is none of")


def test_a_file_without_voiceprints_is_refused(tmp_path):
    assert problems(write(tmp_path / "x.json", {})) == []


def test_a_damaged_ledger_is_refused(tmp_path):
    path = tmp_path / "x.ledger"
    path.write_bytes(b"SQLite format 3\0" + bytes(2000))
    with pytest.raises(LedgerError):
        Speakers.load(path)


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"\xff\xfe\xfd", b"\x89PNG\r\n\x1a\n" + bytes(100), b"SQLite"])
def test_binary_files_are_refused(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    (problem,) = problems(path)
    assert problem.startswith("the file is none of")


def test_a_file_of_two_gigabytes_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "x.json"
    with path.open("wb") as file:
        file.write(b"{")
        file.truncate(2**31)
    assert problems(path) == ["the file has more than 256 MiB. Use the ledger itself, or several smaller files."]


def test_a_named_pipe_is_refused_and_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "x.json")
    assert problems(tmp_path / "x.json") == ["it is not a regular file. Nothing was read."]


def test_a_directory_is_an_os_error(tmp_path):
    with pytest.raises(IsADirectoryError):
        Speakers.load(tmp_path)


def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / "link").symlink_to(write(tmp_path / "x.json", {"Ann": "a"}))
    assert dict(Speakers.load(tmp_path / "link")) == {"Ann": "a"}


def test_control_characters_of_labels_are_escaped_in_errors(tmp_path):
    row = {"label": "Ann\x1b[31m\nBob", "voiceprint": "v" * 20_001}
    path = write(tmp_path / "x.jsonl", lines(row))
    (problem,) = problems(path)
    assert problem.startswith("line 1 (Ann\\u001b[31m\\nBob): the voiceprint must be")


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Speakers.load(tmp_path / "x.json")


def test_repr_shows_neither_labels_nor_values(tmp_path):
    found = Speakers({"Ann": Voiceprint(SECRET, "precision-2", "job-1")})
    assert repr(found) == "<Speakers 1 voiceprints model=precision-2>"
    assert dict(pickle.loads(pickle.dumps(found))) == dict(found)  # noqa: S301 - our own data
