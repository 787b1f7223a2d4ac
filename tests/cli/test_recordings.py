"""`inspect` and `manifest`: from recordings as people have them to lists that `enroll` takes."""

import csv
import json
import os
import re

import numpy as np
import pytest
from audio_files import speechlike, wav

from pyannote_voiceprint_async.audio import cut_segments
from pyannote_voiceprint_async.enrollment import Manifest
from pyannote_voiceprint_async.sandbox import voiceprint_of

RTTM = """\
SPEAKER meeting 1 0.0 4.0 <NA> <NA> SPEAKER_00 <NA> <NA>
SPEAKER meeting 1 4.5 3.0 <NA> <NA> SPEAKER_01 <NA> <NA>
SPEAKER meeting 1 8.0 2.5 <NA> <NA> SPEAKER_00 <NA> <NA>
"""


@pytest.fixture
def meeting(tmp_path, monkeypatch):
    """A recording with its turns, in the folder where the commands are typed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "meeting.wav").write_bytes(wav(speechlike(12)))
    (tmp_path / "meeting.rttm").write_text(RTTM)
    return tmp_path


def from_rttm(invoke, *more):
    return invoke("manifest", "from-rttm", "meeting.rttm", "--audio", "audio/meeting.wav", *more)


def table(text):
    return list(csv.DictReader(text.splitlines()))


# inspect


def test_what_a_file_is_is_one_line(invoke, speech):
    result = invoke("inspect", speech / "june-fr.wav")
    (record,) = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 0
    assert re.fullmatch(r".*june-fr\.wav: good, \d+\.\d s with \d+\.\d s of speech\.\n", result.stderr)
    assert all(len(str(number).partition(".")[2]) <= 4 for number in record.values() if isinstance(number, float))
    assert (record["format"], record["sample_rate"], record["channels"], record["findings"]) == ("WAV", 8000, 1, [])
    assert record["seconds"] > record["speech_seconds"] > 1


def test_fatal_findings_are_exit_code_1_and_all_files_are_told(invoke, tmp_path, speech):
    files = {
        "silent.wav": wav(np.zeros(32000, np.int16)),
        "long.wav": wav(speechlike(31)),
        "cut.wav": wav(speechlike(4))[:-64000],
        "none.wav": b"RIFF and nothing",
        "phone.wav": b"\0\0\0\x20ftypM4A " + bytes(100),
    }
    for name, audio in files.items():
        (tmp_path / name).write_bytes(audio)
    result = invoke("inspect", *(tmp_path / name for name in files), speech / "june-fr.wav")
    assert result.exit_code == 1
    found = [json.loads(line)["findings"] for line in result.stdout.splitlines()]
    said = dict(zip([*files, "june-fr.wav"], result.stderr.splitlines(), strict=True))
    assert "silent.wav: would be refused: is silent (-120 dBFS)" in said["silent.wav"]
    assert "none.wav: would be refused. The file is in none of the audio formats" in said["none.wav"]
    assert "phone.wav: usable, but it is MP4/M4A" in said["phone.wav"]
    assert "june-fr.wav: good, " in said["june-fr.wav"]
    codes = [[(finding["code"], finding["is_fatal"]) for finding in findings] for findings in found]
    assert [dict(each[:1]) for each in codes] == [
        {"silent": True}, {"too_long": True}, {"truncated": True}, {"unreadable": True}, {"unsupported": False}, {},
    ]  # fmt: skip


def test_a_folder_is_searched_for_audio(invoke, speech):
    result = invoke("inspect", speech)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == len(list(speech.glob("*.wav")))


# manifest from-rttm


def test_a_list_of_the_speakers_of_a_recording(invoke, meeting):
    """Its files are relative to it, and what diarization calls a speaker gets a name that identification takes."""
    (meeting / "lists").mkdir()
    result = from_rttm(invoke, "--out", "lists/speakers.csv")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "2 speakers in lists/speakers.csv." in result.stderr
    assert "SPEAKER_00 is listed as 'meeting SPEAKER_00', because identification refuses labels" in result.stderr
    assert "--label SPEAKER_00=NAME" in result.stderr
    assert (meeting / "lists" / "speakers.csv").read_text().splitlines() == [
        "label,source,start,end,seconds",
        "meeting SPEAKER_00,../audio/meeting.wav,0 8,4 10.5,6.50",
        "meeting SPEAKER_01,../audio/meeting.wav,4.5,7.5,3.00",
    ]
    rows = list(Manifest(meeting / "lists" / "speakers.csv"))
    assert [row.segments for row in rows] == [((0.0, 4.0), (8.0, 10.5)), ((4.5, 7.5),)]


def test_speakers_are_called_as_they_are_told_to_be(invoke, meeting):
    result = from_rttm(invoke, "--label", "SPEAKER_00=Anna", "--label", "SPEAKER_01 = Bo = B.")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [row["label"] for row in table(result.stdout)] == ["Anna", "Bo = B."]
    assert {row["source"] for row in table(result.stdout)} == {"audio/meeting.wav"}


def test_a_list_on_stdout_is_utf_8_whatever_the_terminal_is(command, meeting):
    """`enroll` reads nothing else."""
    (meeting / "meeting.rttm").write_text(RTTM.replace("SPEAKER_01", "Zo\u00eb").replace("SPEAKER_00", "王芳"))
    arguments = ("manifest", "from-rttm", meeting / "meeting.rttm", "--audio", meeting / "audio" / "meeting.wav")
    result = command(*arguments, environment={"PYTHONIOENCODING": "cp1252:strict"}, encoding="utf-8")
    assert (result.returncode, result.stderr) == (0, "")
    assert [row["label"] for row in table(result.stdout)] == ["王芳", "Zo\u00eb"]


def test_a_missing_file_is_named_once(invoke, meeting):
    result = invoke("inspect", "nosuch.wav")
    assert result.exit_code == 1
    assert result.stderr == (
        "nosuch.wav: would be refused. The audio file cannot be opened (no such file or directory).\n"
    )


def test_files_of_a_folder_that_are_not_inspected_are_named(invoke, meeting):
    (meeting / "audio" / "notes.txt").touch()
    result = invoke("inspect", "audio")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[1:] == [
        "1 file was skipped: audio/notes.txt (not named like a recording). To include it, pass its own name."
    ]


def test_an_rttm_of_another_recording_is_told_once_and_can_be_confirmed(invoke, meeting):
    (meeting / "meeting.rttm").write_text(RTTM.replace(" meeting ", " board-2023 "))
    result = from_rttm(invoke, "--out", "s.csv")
    note = "Warning: the RTTM names the recording 'board-2023', and the audio is 'meeting.wav'; check that"
    assert (result.exit_code, result.stderr.count(note)) == (0, 1)
    assert note not in from_rttm(invoke, "--out", "t.csv", "--file-id", "board-2023").stderr


def test_who_cannot_be_heard_alone_is_told_and_the_others_are_listed(invoke, meeting):
    turn = "SPEAKER meeting 1 4.5 3.0 <NA> <NA> drowned <NA> <NA>\n"
    (meeting / "meeting.rttm").write_text(RTTM + turn)
    result = from_rttm(invoke)
    assert result.exit_code == 1
    assert "Left out: drowned speaks alone for 0.00 s at most, and 1 s are needed" in result.stderr
    assert [row["label"] for row in table(result.stdout)] == ["meeting SPEAKER_00"]


@pytest.mark.parametrize("name", ["data:1.wav", " meeting.wav", 'a, "b"\nc.wav', "-.wav", "#.wav"])
def test_names_of_files_that_lists_might_misread(invoke, meeting, name):
    (meeting / "audio" / "meeting.wav").rename(meeting / name)
    called = ("--label", "SPEAKER_00=Anna", "--label", "SPEAKER_01=Bo")
    result = invoke("manifest", "from-rttm", "meeting.rttm", "--audio", f"./{name}", "--out", "s.csv", *called)
    assert result.exit_code == 0, result.stderr
    assert {row.source for row in Manifest("s.csv")} == {meeting / name}


def test_a_list_in_a_folder_that_is_a_link(invoke, meeting, tmp_path_factory):
    """What stands beside the folder that the link leads to is another recording, or none."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "lists"
    elsewhere.mkdir()
    (meeting / "lists").symlink_to(elsewhere)
    assert from_rttm(invoke, "--out", "lists/s.csv").exit_code == 0
    for row in Manifest("lists/s.csv"):
        assert row.source.samefile(meeting / "audio" / "meeting.wav")


def test_a_file_whose_name_is_no_text_cannot_be_listed(invoke, meeting):
    name = os.fsdecode(b"m\xff.wav")
    (meeting / "audio" / "meeting.wav").rename(meeting / name)
    result = invoke("manifest", "from-rttm", "meeting.rttm", "--audio", name, "--out", "s.csv")
    assert result.exit_code == 2
    assert "m\N{REPLACEMENT CHARACTER}.wav: the file name is not UTF-8; rename the file." in result.stderr
    assert not (meeting / "s.csv").exists()


def test_a_name_that_identification_does_not_take_is_told_and_the_others_are_listed(invoke, meeting):
    (meeting / "meeting.rttm").write_text(RTTM.replace("SPEAKER_01", "x" * 101))
    result = from_rttm(invoke)
    assert result.exit_code == 1
    assert "cannot be listed: the label has 101 characters; identification takes at most 100; pass" in result.stderr
    assert "another label with --label OLD=NEW" in result.stderr
    assert [row["label"] for row in table(result.stdout)] == ["meeting SPEAKER_00"]


WRONG = [
    ("garbage", (), "Line 1 of the RTTM begins with 'garbage'", 2),
    ("", (), "The RTTM has no turns", 2),
    (RTTM.replace("8.0", "80.0"), (), "The RTTM has turns up to 82.5 s, and the audio has 12.0 s", 2),
    (RTTM, ("--label", "SPEAKER_07=Anna"), "no speaker 'SPEAKER_07', only: SPEAKER_00, SPEAKER_01", 2),
    (
        RTTM,
        ("--label", "SPEAKER_00=Anna", "--label", "SPEAKER_01=Anna"),
        "SPEAKER_00 and SPEAKER_01 would both get the label 'Anna'. Give each speaker a different label",
        2,
    ),
    (
        RTTM,
        ("--label", "SPEAKER_00=Speaker_A"),
        "SPEAKER_00 cannot get the label 'Speaker_A': the label begins with 'speaker_'",
        2,
    ),
    (RTTM.replace("SPEAKER_01 <NA> <NA>", "Bo Li"), (), "Line 2 of the RTTM has 'Li' after the name", 2),
    (RTTM, ("--file-id", "other"), "The RTTM has no turns of 'other'", 2),
    (RTTM, ("--audio", "gone.wav"), "The audio file cannot be opened (no such file or directory): gone.wav", 2),
    (RTTM, ("--audio", "meeting.rttm"), "meeting.rttm: The file is in none of the audio formats", 2),
    (
        RTTM.replace(" 4.0 ", " 0.4 ").replace(" 3.0 ", " 0.3 ").replace(" 2.5 ", " 0.2 "),
        (),
        "No speaker can be listed",
        2,
    ),
    (
        RTTM,
        ("--label", "SPEAKER_00=Anna", "--label", "SPEAKER_00=Bo"),
        "--label gives SPEAKER_00 two labels, 'Anna' and 'Bo'; give one of them.",
        2,
    ),
    (RTTM, ("--out", "gone/speakers.csv"), "--out gone/speakers.csv cannot be written", 2),
]


@pytest.mark.parametrize(("rttm", "more", "sentence", "code"), WRONG)
def test_what_is_wrong_is_one_sentence(invoke, meeting, rttm, more, sentence, code):
    (meeting / "meeting.rttm").write_text(rttm)
    result = from_rttm(invoke, *more)
    assert (result.exit_code, result.stdout) == (code, "")
    assert sentence in result.stderr


def test_a_list_that_is_there_is_written_over_only_when_that_is_said(invoke, meeting):
    assert from_rttm(invoke, "--out", "s.csv").exit_code == 0
    made = (meeting / "s.csv").read_text()
    (meeting / "s.csv").write_text("corrected by hand")
    refused = from_rttm(invoke, "--out", "s.csv")
    assert refused.exit_code == 2
    assert "--out s.csv exists already, and may have been corrected by hand." in refused.stderr
    assert (meeting / "s.csv").read_text() == "corrected by hand"
    assert from_rttm(invoke, "--out", "s.csv", "--force").exit_code == 0
    assert (meeting / "s.csv").read_text() == made


def test_who_has_only_turns_without_a_duration_does_not_vanish(invoke, meeting):
    (meeting / "meeting.rttm").write_text(RTTM + "SPEAKER meeting 1 11.0 0.0 <NA> <NA> mute <NA> <NA>\n")
    result = from_rttm(invoke)
    assert result.exit_code == 1
    assert "Left out: mute speaks alone for 0.00 s at most" in result.stderr
    assert len(table(result.stdout)) == 2


# All the way


def test_from_a_recording_to_voiceprints(command, meeting):
    """What is sent is what the list says, and nobody else's voice."""
    made = command(
        "manifest", "from-rttm", "meeting.rttm", "--audio", "audio/meeting.wav", "--out", "s.csv", cwd=meeting
    )
    assert made.returncode == 0, made.stderr
    enrolled = command("enroll", "--sandbox", "s.csv", "--out", "out.json", cwd=meeting)
    assert enrolled.returncode == 0, enrolled.stderr
    rows = Manifest(meeting / "s.csv")
    expected = {row.label: voiceprint_of(cut_segments(row.source, row.segments).audio) for row in rows}
    assert json.loads((meeting / "out.json").read_text()) == expected


def test_what_was_told_stands_in_the_report(command, meeting):
    (meeting / "long.wav").write_bytes(wav(speechlike(31)))
    (meeting / "s.csv").write_text("label,source\nAnna,long.wav\nBo,gone.wav\n")
    options = ("--trim", "--skip-invalid", "--report", "r.json")
    for more in (("--dry-run",), ()):
        assert command("enroll", "--sandbox", "s.csv", *options, *more, cwd=meeting).returncode == 1
        report = json.loads((meeting / "r.json").read_text())
        assert [note["label"] for note in report["warnings"]] == ["Anna"]
        assert report["warnings"][0]["message"].endswith("Check that only one person speaks there")
        assert [(problem["label"], problem["line"]) for problem in report["problems"]] == [("Bo", 3)]


def test_a_wrong_file_is_called_as_people_write_it(invoke, meeting):
    (meeting / "lists").mkdir()
    (meeting / "lists" / "s.csv").write_text("label,source\nAnna,../audio/./gone.wav\n")
    result = invoke("enroll", "--sandbox", "lists/s.csv", "--dry-run")
    assert result.exit_code == 2
    assert "line 2 (Anna): audio/gone.wav: no such file or directory" in result.stderr


def test_the_command_looks_trims_and_tells(command, meeting):
    (meeting / "long.wav").write_bytes(wav(speechlike(31)))
    refused = command("enroll", "--sandbox", "long.wav", cwd=meeting)
    assert refused.returncode == 2
    assert "long.wav: lasts 31.00 s. A voiceprint takes at most 30 s" in refused.stderr
    told = "long: is too long. Only "
    for more in (("--dry-run",), ()):
        trimmed = command("enroll", "--sandbox", "long.wav", "--trim", *more, cwd=meeting)
        assert (trimmed.returncode, trimmed.stderr.count(told)) == (0, 1), trimmed.stderr
    again = command("enroll", "--sandbox", "long.wav", "--trim", cwd=meeting)
    assert (again.returncode, again.stderr.count(told)) == (0, 0)
    unseen = command("enroll", "--sandbox", "audio/meeting.wav", "--no-preflight", "--ledger", "x.ledger", cwd=meeting)
    assert unseen.returncode == 0, unseen.stderr
    assert command("enroll", "--sandbox", "long.wav", "--no-preflight", "--trim", cwd=meeting).returncode == 2
