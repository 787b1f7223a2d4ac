"""Reading RTTM."""

import io

import pytest

from pyannote_voiceprint_async.audio import SpeakerTurn, read_turns
from pyannote_voiceprint_async.errors import MediaError

LINE = "SPEAKER talk 1 1.250 2.5 <NA> <NA> anna <NA> <NA>"


@pytest.mark.parametrize(
    "text",
    [
        LINE,
        LINE + "\n",
        LINE.replace(" ", "\t") + "\r\n",
        "SPEAKER talk 1 1.25 2.5 <NA> <NA> anna",
        "SPEAKER talk 1 1.25 2.5 <NA> <NA> anna <NA>",
        "SPEAKER talk 1 +125e-2 2.5 <NA> <NA> anna <NA> <NA>",
        f";; a comment\n# another\n\nSPKR-INFO talk 1 <NA> <NA> <NA> unknown anna <NA>\n{LINE}\n",
        f"\ufeff{LINE}",
        "SPEAKER talk 1 1.25 2.5 <NA> <NA> anna 0.97 1e-3",
    ],
)
def test_turns_are_read(text):
    assert read_turns(text.splitlines()) == [SpeakerTurn("talk", "anna", 1_250_000, 3_750_000)]


def test_files_contents_and_lines_are_read_alike(tmp_path):
    path = tmp_path / "talk.rttm"
    path.write_text(LINE, encoding="utf-8-sig")
    with path.open("rb") as file:
        assert read_turns(file) == read_turns(file) == read_turns([LINE])
    assert (
        read_turns(path) == read_turns(path.read_bytes()) == read_turns(io.BytesIO(LINE.encode())) == read_turns([LINE])
    )
    with path.open(encoding="utf-8") as text:
        assert read_turns(text) == read_turns([LINE])


@pytest.mark.parametrize("text", [LINE, "talk.rttm", ""])
def test_a_str_is_refused_because_it_may_be_a_path_or_text(text):
    with pytest.raises(TypeError, match=r"Pass a file as pathlib\.Path\(\.\.\.\), and text as text\.splitlines\(\)"):
        read_turns(text)


def test_a_file_object_is_read_from_its_position_and_rewound_to_it():
    file = io.BytesIO(b"header\n" + LINE.encode())
    file.seek(7)
    assert read_turns(file) == read_turns([LINE])
    assert file.tell() == 7


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_files_are_read_in_every_unicode_encoding(tmp_path, encoding):
    """PowerShell's `>` writes UTF-16."""
    path = tmp_path / "talk.rttm"
    path.write_bytes(f"{LINE.replace('anna', 'zoë')}\r\n".encode(encoding))
    assert read_turns(path) == read_turns(path.read_bytes()) == [SpeakerTurn("talk", "zoë", 1_250_000, 3_750_000)]


def test_names_are_normalized_to_one_unicode_form():
    lines = [LINE.replace("anna", name).replace("talk", name) for name in ("Jos\u00e9", "Jose\u0301")]
    one, two = read_turns(lines)
    assert one == two == SpeakerTurn("Jos\u00e9", "Jos\u00e9", 1_250_000, 3_750_000)


def test_the_channel_of_a_turn_is_kept():
    assert [turn.channel for turn in read_turns([LINE, LINE.replace(" 1 ", " B ")])] == ["1", "B"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("garbage", "begins with 'garbage', not with SPEAKER"),
        ("speaker talk 1 1.25 2.5 <NA> <NA> anna <NA> <NA>", "begins with 'speaker'"),
        ("SPEAKER talk 1 1.25", "has 4 fields, not 8 to 10"),
        ("SPEAKER talk 1 1.25 2.5 <NA> <NA> anna maria smith <NA> <NA>", "has 12 fields, not 8 to 10"),
        ("SPEAKER talk 1 1.25 2.5 <NA> <NA> anna maria", "has 'maria' after the name (names must not have spaces)"),
        ("SPEAKER talk 1 1.25 2.5 <NA> <NA> anna maria smith", "has 'maria' after the name"),
        ("SPEAKER talk 1 1.25 2.5 <NA> <NA> anna\u00a0maria", "has 'maria' after the name"),
        ("SPEAKER talk 1 1.25 2.5 <NA> <NA> \x1b[31mred <NA> <NA>", "has control characters"),
        ("SPEAKER talk 1 one 2.5 <NA> <NA> anna <NA> <NA>", "has 'one' as start"),
        ("SPEAKER talk 1 1.25 -2.5 <NA> <NA> anna <NA> <NA>", "has '-2.5' as duration"),
        ("SPEAKER talk 1 nan 2.5 <NA> <NA> anna <NA> <NA>", "has 'nan' as start"),
        ("SPEAKER talk 1 1.25 inf <NA> <NA> anna <NA> <NA>", "has 'inf' as duration"),
        ("SPEAKER talk 1 1_0 2.5 <NA> <NA> anna <NA> <NA>", "has '1_0' as start"),
        ("SPEAKER talk 1 1e99 2.5 <NA> <NA> anna <NA> <NA>", "has '1e99' as start"),
        ("SPEAKER talk 1 \u0661 2.5 <NA> <NA> anna <NA> <NA>", "has '\u0661' as start"),
        ("SPEAKER talk 1 1.25 2.5 <NA> <NA> <NA> <NA> <NA>", "has no speaker"),
        ("x" * 100_000, f"begins with {'x' * 20!r}"),
        (b"SPEAKER", "is bytes, not text"),
    ],
)
def test_an_invalid_line_is_reported_with_its_number(line, problem):
    with pytest.raises(MediaError) as caught:
        read_turns([LINE, "", line])
    assert str(caught.value).startswith(f"Line 3 of the RTTM {problem}")
    assert str(caught.value).endswith("A turn is: SPEAKER file 1 START DURATION <NA> <NA> NAME <NA> <NA>")
    assert not caught.value.retryable


def test_a_turn_without_a_duration_is_kept():
    *_, last = read_turns([LINE, "SPEAKER talk 1 9 0 <NA> <NA> ben <NA> <NA>"])
    assert last == SpeakerTurn("talk", "ben", 9_000_000, 9_000_000)


@pytest.mark.parametrize("text", ["", "\n;; nothing\n", "SPEAKER talk 1 9 0 <NA> <NA> anna <NA> <NA>"])
def test_an_rttm_without_turns_is_refused(text):
    with pytest.raises(MediaError, match="has no turns"):
        read_turns(text.splitlines())


def test_files_that_cannot_be_read_are_refused(tmp_path, speech):
    for path, reason in (
        (tmp_path / "no.rttm", "No such file"),
        (speech / "allison-en.wav", "neither UTF-8 nor UTF-16"),
    ):
        with pytest.raises(MediaError, match=reason):
            read_turns(path)
