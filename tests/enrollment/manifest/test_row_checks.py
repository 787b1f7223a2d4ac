"""What is wrong with a row before a cent is spent, and which recording it is."""

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
    file_problem,
    printable_label,
    url_problem,
)
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem, Row
from pyannote_voiceprint_async.errors import MediaError
from pyannote_voiceprint_async.models import Model

URL = "https://example.com/anna.wav"
UNHEARD = Preflight(is_enabled=False).check_file
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


def look(label="Anna", source=URL, model=None, *, resolves=False, line=None, trims=False, **more):
    row = Row(label, source, model, line=line, **more)
    return check_row(row, model="precision-2", has_resolver=resolves, check_file=UNHEARD, trim=trims)


def said(**row):
    problem = look(**row)
    assert isinstance(problem, Problem)
    return problem.message


def test_a_url_is_known_by_itself_without_its_signature():
    row = Row("Anna", PRESIGNED, line=7)
    assert check_row(row, model="precision-2", has_resolver=False, check_file=UNHEARD) == CheckedRow(
        attrs.evolve(row, model="precision-2"), CheckedAudio(f"url:{URL}", expires_at=1769817600.0)
    )


def test_a_file_is_known_by_its_bytes_wherever_it_is(tmp_path):
    Path("folder/copy.wav").write_bytes(b"RIFF")
    found = Path("good.wav").stat()
    row, digest = Row("Anna", Path("good.wav")), hashlib.sha256(b"RIFF").hexdigest()
    seen = check_row(row, model="precision-2", has_resolver=False, check_file=UNHEARD)
    assert seen == CheckedRow(
        Row("Anna", tmp_path / "good.wav", "precision-2"),
        CheckedAudio(f"sha256:{digest}", size=4, modified_ns=found.st_mtime_ns),
    )
    assert seen.is_file
    assert look(source=Path("folder/copy.wav")).audio.identity == seen.audio.identity


@pytest.mark.parametrize(
    ("source", "identity"),
    [("asset 17", "id:asset 17"), ("s3://b/k", "url:s3://b/k"), (PRESIGNED, f"url:{URL}"), (" ", "id: ")],
)
def test_with_resolve_a_source_is_whatever_it_understands(source, identity):
    seen = look(source=source, resolves=True)
    assert (seen.audio.identity, seen.row.source, seen.is_file) == (identity, source, False)


def test_files_stay_files_beside_resolve():
    assert look(source=Path("good.wav"), resolves=True).is_file
    assert isinstance(look(source=Path("gone.wav"), resolves=True), Problem)


@pytest.mark.parametrize(
    ("own", "used"), [(None, "precision-2"), ("precision-3", "precision-3"), (Model.PRECISION_2, "precision-2")]
)
def test_a_row_may_have_a_model_of_its_own(own, used):
    seen = look(model=own)
    assert (seen.row.model, type(seen.row.model)) == (used, str)


def test_white_space_around_a_label_is_taken_away():
    seen = look(label="\u00a0 Anna M \t", extra={"a": 1}, line=3)
    assert (seen.row, seen.row.line) == (Row("Anna M", URL, "precision-2", extra={"a": 1}), 3)


@pytest.mark.parametrize("label", ["A" * 100, "speaker", "Speaker 1", "speaker-1", "Ünïcode 👩‍🎤", "a/b.wav", "1"])
def test_labels_that_identification_takes(label):
    assert isinstance(look(label=label), CheckedRow)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("", "has no label; every speaker needs one"),
        (" \n", "has no label; every speaker needs one"),
        (None, "has no label; every speaker needs one"),
        (7, "the label must be text, not int"),
        ("A" * 101, "the label has 101 characters; identification takes at most 100"),
        ("SPEAKER_00", "the label begins with 'speaker_', which identification keeps for unknown voices"),
        (" Speaker_x", "the label begins with 'speaker_', which identification keeps for unknown voices"),
        ("a\nb", "the label has a line break or another control character"),
        ("a\u2028b", "the label has a line break or another control character"),
        ("a\ud800", "the label has a line break or another control character"),
    ],
)
def test_labels_that_identification_would_refuse(label, message):
    assert said(label=label).startswith(message)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "has no source; give a URL or a file"),
        (None, "has no source; give a URL or a file"),
        (7, "the source must be a URL as str or a file as pathlib.Path, not int"),
        (b"a", "the source must be a URL as str or a file as pathlib.Path, not bytes"),
        ("anna.wav", "anna.wav: is no URL; give a file of this machine as pathlib.Path"),
        ("s3://b/k?secret", f"s3://b/k?…: {url_problem('s3://b/k')}"),
        ("https://a b/?secret", "https://a b/?…: must have no spaces or control characters"),
        ("https://e.com/\x1b[31m", "https://e.com/\ufffd[31m: must have no spaces or control characters"),
        ("https://e.com/\ud800", "the source has half a character, which cannot be written as UTF-8; give it anew"),
        (Path("gone.wav"), "gone.wav: no such file or directory; give a file that is there, or a URL"),
        (Path("empty.wav"), "empty.wav: is empty; give a file with audio"),
        (Path("folder"), "folder: is no file; give a file"),
        (Path("pipe.wav"), "pipe.wav: is no file; give a file"),
        (Path("large.wav"), "large.wav: has 100 MiB; a voiceprint takes at most 100 MiB"),
        (Path("a\0b"), "a\ufffdb: can be no file's name; give a file that is there, or a URL"),
        (Path("a\udcff"), "a\ufffd: its name is no UTF-8; rename it"),
        (Path("x" * 5000), f"{'x' * 200}: file name too long; give a file that is there, or a URL"),
    ],
)  # fmt: skip
def test_sources_that_cannot_be_sent(source, message):
    assert said(source=source) == message


@pytest.mark.parametrize(("source", "resolves"), [("", True), (None, True), (7, True), ("\ud800", True)])
def test_resolve_gets_text(source, resolves):
    assert isinstance(look(source=source, resolves=resolves), Problem)


@pytest.mark.parametrize("model", ["", "precision 2", 7, "a\n"])
@pytest.mark.parametrize("source", [URL, Path("good.wav")])
def test_models_that_are_none(model, source):
    assert said(model=model, source=source) == "the model must be the name of a model"


endless: dict = {}
endless["x"] = endless


@pytest.mark.parametrize(
    "extra", [None, 7, [1], {1: "x"}, {"x": b""}, {"x": object()}, {"x": float("nan")}, {"x": "\ud800"}, endless]
)
def test_further_columns_that_no_file_could_hold(extra):
    assert said(extra=extra).startswith("the further columns ")


@pytest.mark.parametrize("extra", [{}, {"x": [1, None, {"y": "é"}]}, MappingProxyType({"x": 1}), MappingProxyType({})])
def test_further_columns_that_are_kept(extra):
    assert look(extra=extra).row.extra == extra


@pytest.mark.parametrize("row", [None, {"label": "Anna", "source": URL}, ("Anna", URL), "Anna"])
def test_what_is_no_row_is_a_problem(row):
    assert "is no Row but" in str(check_row(row, model="precision-2", has_resolver=True, check_file=UNHEARD))


def test_all_that_is_wrong_is_said_at_once_with_line_and_label():
    problem = look(label="speaker_" + "x" * 200, source=Path("gone.wav"), model="", line=12)
    assert problem.line == 12
    assert problem.label == ("speaker_" + "x" * 200)[:100]
    assert [part.split()[:2] for part in problem.message.split("; ") if part.startswith(("the", "gone"))] == [
        ["the", "label"],
        ["the", "model"],
        ["gone.wav:", "no"],
    ]


@pytest.mark.parametrize("label", [None, 7, "", "  "])
def test_a_label_that_is_none_is_not_shown(label):
    assert printable_label(label) is None


def test_what_is_heard_may_come_from_memory():
    asked = []

    def remembered(path, found, pieces):
        asked.append((path, found.st_size, pieces))
        return CheckedAudio("samples:00", ((1.0, 2.0),), ("is nearly silent",))

    row = Row("Anna", Path("good.wav"), segments=((1, 2),))
    seen = check_row(row, model="m", has_resolver=False, check_file=remembered)
    assert asked == [(Path("good.wav").absolute(), 4, ((1, 2),))]
    assert (seen.audio.identity, seen.audio.segments) == ("samples:00", ((1.0, 2.0),))
    assert seen.audio.warnings == ("is nearly silent",)


@pytest.mark.parametrize(
    ("pieces", "source", "message"),
    [
        (((1, 2),), URL, "start and end cut a file of this machine, and the source is none"),
        (((2, 1),), Path("good.wav"), "start (2 s) is not before end (1 s)"),
        (((1, 1.0),), Path("good.wav"), "start (1 s) is not before end (1 s)"),
        (((-1, 2),), Path("good.wav"), "start (-1 s) is before the beginning of the recording"),
        (((1, -2),), Path("good.wav"), "end (-2 s) is before the beginning of the recording"),
        (((0, 31),), Path("good.wav"), "the piece has 31.00 s; a voiceprint takes at most 30 s"),
        (((0, 20), (30, 41)), Path("good.wav"), "the 2 pieces have together 31.00 s"),
        (((None, 2),), Path("good.wav"), "start must be a number of seconds, not None"),
        (((float("nan"), 2),), Path("good.wav"), "start must be a number of seconds, not nan"),
        (((1, float("inf")),), Path("good.wav"), "end must be a number of seconds, not inf"),
        (((True, 2),), Path("good.wav"), "start must be a number of seconds, not True"),
        (((10**400, None),), Path("good.wav"), "start must be a number of seconds, not 1000"),
        ((1, 2), Path("good.wav"), "the pieces must be pairs of start and end in seconds, and 1 is none"),
        (("12",), Path("good.wav"), "the pieces must be pairs of start and end in seconds, and '12' is none"),
        ("12", Path("good.wav"), "the pieces must be pairs of start and end in seconds, not str"),
        (None, Path("good.wav"), "the pieces must be pairs of start and end in seconds, not NoneType"),
        ({1: 2}, Path("good.wav"), "the pieces must be pairs of start and end in seconds, not dict"),
    ],
)
def test_pieces_that_no_recording_has(pieces, source, message):
    assert said(segments=pieces, source=source).startswith(message)


@pytest.mark.parametrize("more", [{"trims": True}, {"segments": ((0, 1),)}])
def test_a_file_that_is_cut_may_have_any_size(more):
    def listen(path, found, pieces):
        return CheckedAudio("samples:00")

    row, trims = Row("Anna", Path("large.wav"), segments=more.get("segments", ())), more.get("trims", False)
    assert isinstance(check_row(row, model="m", has_resolver=False, check_file=listen, trim=trims), CheckedRow)


def test_no_file_is_read_for_a_row_that_is_refused_anyway():
    def never(path, found, pieces):
        raise AssertionError

    assert isinstance(check_row(Row("", Path("good.wav")), model="m", has_resolver=False, check_file=never), Problem)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(5, "Input/output error"), "good.wav: input/output error; see that it stays readable"),
        (MediaError("The audio cannot be read."), "good.wav: the audio cannot be read"),
        (MediaError("changed while it was read"), "good.wav: changed while it was read"),
    ],
)
def test_a_file_that_cannot_be_read_to_its_end_is_a_problem(error, message):
    def fail(path, found, pieces):
        raise error

    found = check_row(Row("Anna", Path("good.wav"), line=2), model="m", has_resolver=False, check_file=fail)
    assert found == Problem(message, "Anna", 2)


def test_a_file_that_changes_while_it_is_read_has_no_digest():
    found = Path("good.wav").stat()
    Path("good.wav").write_bytes(b"RIFF and more")
    with pytest.raises(MediaError, match="changed while it was read"):
        file_digest(Path("good.wav"), found)


def test_no_repr_shows_a_signed_query():
    for seen in (look(source=PRESIGNED), look(source="https://e.com/get?token=secret")):
        assert "secret" not in repr(seen)


ANYTHING = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.text(max_size=5).map(Path)


@given(
    ANYTHING | st.text(st.characters(), max_size=120),
    ANYTHING | st.text(max_size=30).map("https://e.com/".__add__),
    ANYTHING,
    st.booleans(),
)
def test_whatever_a_row_holds_it_is_examined_or_a_problem(label, source, model, resolves):
    seen = check_row(
        Row(label, source, model), model="precision-2", has_resolver=resolves, check_file=lambda *_: CheckedAudio("00")
    )
    if isinstance(seen, Problem):
        str(seen).encode()
    else:
        assert 1 <= len(seen.row.label) <= 100
        f"{seen.row.label}{seen.row.source}{seen.audio.identity}{seen.row.model}".encode()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://example.com/a.wav", None),
        ("media://a.wav", None),
        ("https://", "has no host"),
        ("http://[", "is not a valid URL"),
        ("https://example.com/a b", "must have no spaces or control characters"),
        ("https://example.com/a\n", "must have no spaces or control characters"),
        ("media://ä", "must be media:// and a key of letters, digits, '-', '_', '.' and '/'"),
        ("s3://b/k", "must begin with http://, https:// or media://; give a bucket's object by a presigned URL"),
    ],
)
def test_what_is_wrong_with_a_url(url, problem):
    assert url_problem(url) == problem


def test_a_file_that_is_only_uploaded_may_have_any_size():
    assert file_problem(Path("large.wav")) is None
    assert file_problem(Path("large.wav"), largest=2**20) == "has 100 MiB; a voiceprint takes at most 1 MiB"


NFC, NFD = "Jos\u00e9", "Jose\u0301"


@pytest.mark.parametrize(("stored", "given"), [(NFC, NFD), (NFD, NFC)])
def test_a_file_is_found_in_either_unicode_form(stored, given):
    Path(f"{stored}.wav").write_bytes(b"RIFF")
    found = look(source=Path(f"{given}.wav"))
    assert found.row.source == Path(f"{stored}.wav").absolute()


def test_a_label_is_in_nfc_and_measured_so():
    assert look(label=f" {NFD} ").row.label == NFC
    assert isinstance(look(label="e\u0301" * 100), CheckedRow)
    assert printable_label(NFD) == NFC
