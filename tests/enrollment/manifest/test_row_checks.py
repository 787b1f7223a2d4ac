"""Checks of one row before anything is submitted, and the identity of its recording."""

import hashlib
import os
from pathlib import Path
from types import MappingProxyType

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.api.endpoints import MAX_VOICEPRINT_BYTES
from pyannote_voiceprint_async.enrollment.manifest.preflight import CheckedAudio, Preflight, file_digest
from pyannote_voiceprint_async.enrollment.manifest.row_checks import (
    CheckedRow,
    check_row,
)
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem, Row
from pyannote_voiceprint_async.enrollment.manifest.source_checks import url_problem
from pyannote_voiceprint_async.errors import MediaError
from pyannote_voiceprint_async.models import Model

URL = "https://example.com/anna.wav"
IDENTIFY_ONLY = Preflight(is_enabled=False).check_file
PRESIGNED = f"{URL}?X-Amz-Date=20260130T230000Z&X-Amz-Expires=3600&X-Amz-Signature=secret"


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("good.wav").write_bytes(b"RIFF")
    Path("empty.wav").touch()
    Path("folder").mkdir()
    with Path("large.wav").open("wb") as large:
        large.truncate(MAX_VOICEPRINT_BYTES + 1)
    os.mkfifo("pipe.wav")


def check(label="Anna", source=URL, model=None, *, resolves=False, line=None, trims=False, **more):
    row = Row(label, source, model, line=line, **more)
    return check_row(row, model="precision-2", has_resolver=resolves, check_file=IDENTIFY_ONLY, trim=trims)


def message_of(**row):
    problem = check(**row)
    assert isinstance(problem, Problem)
    return problem.message


def test_the_identity_of_a_url_leaves_out_its_signature():
    row = Row("Anna", PRESIGNED, line=7)
    assert check_row(row, model="precision-2", has_resolver=False, check_file=IDENTIFY_ONLY) == CheckedRow(
        attrs.evolve(row, model="precision-2"), CheckedAudio(f"url:{URL}", expires_at=1769817600.0)
    )


def test_the_identity_of_a_file_is_its_digest_in_any_folder(tmp_path):
    Path("folder/copy.wav").write_bytes(b"RIFF")
    found = Path("good.wav").stat()
    row, digest = Row("Anna", Path("good.wav")), hashlib.sha256(b"RIFF").hexdigest()
    checked = check_row(row, model="precision-2", has_resolver=False, check_file=IDENTIFY_ONLY)
    assert checked == CheckedRow(
        Row("Anna", tmp_path / "good.wav", "precision-2"),
        CheckedAudio(f"sha256:{digest}", size=4, modified_ns=found.st_mtime_ns),
    )
    assert checked.is_file
    assert check(source=Path("folder/copy.wav")).audio.identity == checked.audio.identity


@pytest.mark.parametrize(
    ("source", "identity"),
    [("asset 17", "id:asset 17"), ("s3://b/k", "url:s3://b/k"), (PRESIGNED, f"url:{URL}"), (" ", "id: ")],
)
def test_with_a_resolver_any_text_is_a_source(source, identity):
    checked = check(source=source, resolves=True)
    assert (checked.audio.identity, checked.row.source, checked.is_file) == (identity, source, False)


def test_with_a_resolver_files_are_still_checked():
    assert check(source=Path("good.wav"), resolves=True).is_file
    assert isinstance(check(source=Path("gone.wav"), resolves=True), Problem)


@pytest.mark.parametrize(
    ("own", "used"), [(None, "precision-2"), ("precision-3", "precision-3"), (Model.PRECISION_2, "precision-2")]
)
def test_a_row_may_have_a_model_of_its_own(own, used):
    checked = check(model=own)
    assert (checked.row.model, type(checked.row.model)) == (used, str)


def test_white_space_around_a_label_is_removed():
    checked = check(label="\u00a0 Anna M \t", extra={"a": 1}, line=3)
    assert (checked.row, checked.row.line) == (Row("Anna M", URL, "precision-2", extra={"a": 1}), 3)


@pytest.mark.parametrize("label", ["A" * 100, "speaker", "Speaker 1", "speaker-1", "Ünïcode 👩‍🎤", "a/b.wav", "1"])
def test_labels_that_identification_accepts(label):
    assert isinstance(check(label=label), CheckedRow)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("", "has no label; every speaker needs one"),
        (" \n", "has no label; every speaker needs one"),
        (None, "has no label; every speaker needs one"),
        (7, "the label must be text, not int"),
        ("A" * 101, "the label has 101 characters; identification takes at most 100"),
        ("SPEAKER_00", "the label begins with 'speaker_', which identification reserves for diarized speakers"),
        (" Speaker_x", "the label begins with 'speaker_', which identification reserves for diarized speakers"),
        ("a\nb", "the label has a line break or another control character"),
        ("a\u2028b", "the label has a line break or another control character"),
        ("a\ud800", "the label has a line break or another control character"),
    ],
)
def test_labels_that_identification_would_reject(label, message):
    assert message_of(label=label).startswith(message)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "has no source; give a URL or a file"),
        (None, "has no source; give a URL or a file"),
        (7, "the source must be a URL as str or a file as pathlib.Path, not int"),
        (b"a", "the source must be a URL as str or a file as pathlib.Path, not bytes"),
        ("anna.wav", "anna.wav: is not a URL; pass a local file as pathlib.Path"),
        ("s3://b/k?secret", f"s3://b/k?…: {url_problem('s3://b/k')}"),
        ("https://a b/?secret", "https://a b/?…: must have no spaces or control characters"),
        ("https://e.com/\x1b[31m", "https://e.com/\ufffd[31m: must have no spaces or control characters"),
        (
            "https://e.com/\ud800",
            "the source has a lone surrogate, which cannot be written as UTF-8; write the source again",
        ),
        (Path("gone.wav"), "gone.wav: no such file or directory; give an existing file or a URL"),
        (Path("empty.wav"), "empty.wav: is empty; give a file with audio"),
        (Path("folder"), "folder: is not a regular file; give a file"),
        (Path("pipe.wav"), "pipe.wav: is not a regular file; give a file"),
        (Path("large.wav"), "large.wav: has 100 MiB. A voiceprint takes at most 100 MiB"),
        (Path("a\0b"), "a\ufffdb: is not a valid file name; give an existing file or a URL"),
        (Path("a\udcff"), "a\ufffd: the file name is not UTF-8; rename the file"),
        (Path("x" * 5000), f"{'x' * 200}: file name too long; give an existing file or a URL"),
    ],
)  # fmt: skip
def test_sources_that_cannot_be_submitted(source, message):
    assert message_of(source=source) == message


@pytest.mark.parametrize(("source", "resolves"), [("", True), (None, True), (7, True), ("\ud800", True)])
def test_a_resolver_needs_text(source, resolves):
    assert isinstance(check(source=source, resolves=resolves), Problem)


@pytest.mark.parametrize("model", ["", "precision 2", 7, "a\n"])
@pytest.mark.parametrize("source", [URL, Path("good.wav")])
def test_invalid_models(model, source):
    assert message_of(model=model, source=source) == "the model must be the name of a model"


endless: dict = {}
endless["x"] = endless


@pytest.mark.parametrize(
    "extra", [None, 7, [1], {1: "x"}, {"x": b""}, {"x": object()}, {"x": float("nan")}, {"x": "\ud800"}, endless]
)
def test_extra_values_that_cannot_be_written_as_json(extra):
    assert message_of(extra=extra).startswith("extra ")


@pytest.mark.parametrize("extra", [{}, {"x": [1, None, {"y": "é"}]}, MappingProxyType({"x": 1}), MappingProxyType({})])
def test_extra_values_that_are_kept(extra):
    assert check(extra=extra).row.extra == extra


@pytest.mark.parametrize("row", [None, {"label": "Anna", "source": URL}, ("Anna", URL), "Anna"])
def test_an_object_of_another_type_is_a_problem(row):
    assert "is not a Row but" in str(check_row(row, model="precision-2", has_resolver=True, check_file=IDENTIFY_ONLY))


def test_a_problem_names_everything_that_is_wrong_with_line_and_label():
    problem = check(label="speaker_" + "x" * 200, source=Path("gone.wav"), model="", line=12)
    assert problem.line == 12
    assert problem.label == ("speaker_" + "x" * 200)[:100]
    assert [part.split()[:2] for part in problem.message.split(". Also: ")] == [
        ["the", "label"],
        ["the", "model"],
        ["gone.wav:", "no"],
    ]


def test_the_check_of_a_file_may_return_what_an_earlier_run_found():
    calls = []

    def remembered(path, status, segments):
        calls.append((path, status.st_size, segments))
        return CheckedAudio("samples:00", ((1.0, 2.0),), ("is nearly silent",))

    row = Row("Anna", Path("good.wav"), segments=((1, 2),))
    checked = check_row(row, model="m", has_resolver=False, check_file=remembered)
    assert calls == [(Path("good.wav").absolute(), 4, ((1, 2),))]
    assert (checked.audio.identity, checked.audio.segments) == ("samples:00", ((1.0, 2.0),))
    assert checked.audio.warnings == ("is nearly silent",)


@pytest.mark.parametrize(
    ("segments", "source", "message"),
    [
        (((1, 2),), URL, "start and end can only cut a local file"),
        (((2, 1),), Path("good.wav"), "start (2 s) is not before end (1 s)"),
        (((1, 1.0),), Path("good.wav"), "start (1 s) is not before end (1 s)"),
        (((-1, 2),), Path("good.wav"), "start (-1 s) is before the beginning of the recording"),
        (((1, -2),), Path("good.wav"), "end (-2 s) is before the beginning of the recording"),
        (((0, 31),), Path("good.wav"), "the segment has 31.00 s. A voiceprint takes at most 30 s"),
        (((0, 20), (30, 41)), Path("good.wav"), "the 2 segments have in total 31.00 s"),
        (((None, 2),), Path("good.wav"), "start must be a number of seconds, not None"),
        (((float("nan"), 2),), Path("good.wav"), "start must be a number of seconds, not nan"),
        (((1, float("inf")),), Path("good.wav"), "end must be a number of seconds, not inf"),
        (((True, 2),), Path("good.wav"), "start must be a number of seconds, not True"),
        (((10**400, None),), Path("good.wav"), "start must be a number of seconds, not 1000"),
        ((1, 2), Path("good.wav"), "segments must be pairs of start and end in seconds, and 1 is not a pair"),
        (("12",), Path("good.wav"), "segments must be pairs of start and end in seconds, and '12' is not a pair"),
        ("12", Path("good.wav"), "segments must be pairs of start and end in seconds, not str"),
        (None, Path("good.wav"), "segments must be pairs of start and end in seconds, not NoneType"),
        ({1: 2}, Path("good.wav"), "segments must be pairs of start and end in seconds, not dict"),
    ],
)
def test_invalid_segments(segments, source, message):
    assert message_of(segments=segments, source=source).startswith(message)


@pytest.mark.parametrize("more", [{"trims": True}, {"segments": ((0, 1),)}])
def test_a_file_that_is_cut_may_have_any_size(more):
    def listen(path, status, segments):
        return CheckedAudio("samples:00")

    row, trims = Row("Anna", Path("large.wav"), segments=more.get("segments", ())), more.get("trims", False)
    assert isinstance(check_row(row, model="m", has_resolver=False, check_file=listen, trim=trims), CheckedRow)


def test_no_file_is_read_for_a_row_with_another_problem():
    def never(path, status, segments):
        raise AssertionError

    assert isinstance(check_row(Row("", Path("good.wav")), model="m", has_resolver=False, check_file=never), Problem)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(5, "Input/output error"), "good.wav: input/output error; make sure that the file stays readable"),
        (MediaError("The audio cannot be read."), "good.wav: the audio cannot be read"),
        (MediaError("changed while it was read"), "good.wav: changed while it was read"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_problem(error, message):
    def fail(path, status, segments):
        raise error

    found = check_row(Row("Anna", Path("good.wav"), line=2), model="m", has_resolver=False, check_file=fail)
    assert found == Problem(message, "Anna", 2)


def test_a_file_that_changes_during_the_check_is_refused():
    found = Path("good.wav").stat()
    Path("good.wav").write_bytes(b"RIFF and more")
    with pytest.raises(MediaError, match="changed while it was read"):
        file_digest(Path("good.wav"), found)


def test_repr_hides_the_query_of_a_presigned_url():
    for checked in (check(source=PRESIGNED), check(source="https://e.com/get?token=secret")):
        assert "secret" not in repr(checked)


ANYTHING = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.text(max_size=5).map(Path)


@given(
    ANYTHING | st.text(st.characters(), max_size=120),
    ANYTHING | st.text(max_size=30).map("https://e.com/".__add__),
    ANYTHING,
    st.booleans(),
)
def test_any_row_is_checked_or_a_problem(label, source, model, resolves):
    checked = check_row(
        Row(label, source, model), model="precision-2", has_resolver=resolves, check_file=lambda *_: CheckedAudio("00")
    )
    if isinstance(checked, Problem):
        str(checked).encode()
    else:
        assert 1 <= len(checked.row.label) <= 100
        f"{checked.row.label}{checked.row.source}{checked.audio.identity}{checked.row.model}".encode()


NFC, NFD = "Jos\u00e9", "Jose\u0301"


@pytest.mark.parametrize(("stored", "given"), [(NFC, NFD), (NFD, NFC)])
def test_a_file_is_found_in_either_unicode_form(stored, given):
    Path(f"{stored}.wav").write_bytes(b"RIFF")
    found = check(source=Path(f"{given}.wav"))
    assert found.row.source == Path(f"{stored}.wav").absolute()


def test_a_label_is_normalized_before_its_length_is_checked():
    assert check(label=f" {NFD} ").row.label == NFC
    assert isinstance(check(label="e\u0301" * 100), CheckedRow)
