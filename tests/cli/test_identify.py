"""`identify` in this process, against sandboxes: names, records, files, and what is refused before anything is sent."""

import json
from pathlib import Path

import pytest
from audio_files import speechlike, wav

from pyannote_voiceprint_async.audio import read_turns
from pyannote_voiceprint_async.identification import Identification
from pyannote_voiceprint_async.sandbox import voiceprint_of

_CONVERSATION = Path(__file__).parents[2] / "examples" / "conversation" / "conversation.flac"
_NAMES = ["june-fr", "carlo-it", "allison-en"]


@pytest.fixture
def speakers(tmp_path, speech):
    """A file with the voiceprints of the five speakers of the examples."""
    path = tmp_path / "speakers.json"
    path.write_text(json.dumps({path.stem: voiceprint_of(path.read_bytes()) for path in speech.glob("*.wav")}))
    return path


def make_speakers(path, count):
    path.write_text(json.dumps({f"person {number}": voiceprint_of(f"{number}".encode()) for number in range(count)}))
    return path


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "talk.wav"
    path.write_bytes(wav(speechlike(40)))
    return path


def test_the_speakers_that_enroll_made_are_named_in_the_conversation(invoke, records, speech, tmp_path):
    ledger = tmp_path / "speakers.ledger"
    assert invoke("enroll", "--sandbox", *sorted(speech.glob("*.wav")), "--ledger", ledger).exit_code == 0
    result = invoke("identify", "--sandbox", _CONVERSATION, "--speakers", ledger, "--out", tmp_path / "names.rttm")
    [record] = records(result.stdout)
    assert result.exit_code == 0
    assert [decision["label"] for decision in record["decisions"]] == _NAMES
    assert {decision["certainty"] for decision in record["decisions"]} == {"certain"}
    turns = read_turns(tmp_path / "names.rttm")
    assert [turn.speaker for turn in turns] == ["june-fr", "carlo-it", "june-fr", "allison-en", "carlo-it"]


def test_made_up_voiceprints_are_not_sent_to_another_api(invoke, quick_sandbox, speech, recording, tmp_path):
    ledger = tmp_path / "speakers.sandbox.ledger"
    assert invoke("enroll", "--sandbox", speech / "june-fr.wav", "--ledger", ledger).exit_code == 0
    result = invoke("identify", recording, "--speakers", ledger, environment=quick_sandbox.environment)
    assert result.exit_code == 2
    assert "the voiceprints were made up by the sandbox" in result.stderr
    assert "Nothing was sent" in result.stderr
    assert quick_sandbox.state()["total"]["requests"] == 0


def test_the_warning_of_the_sandbox_is_shown_once(on_terminal, quick_sandbox, speakers, recording, tmp_path):
    other = tmp_path / "other.wav"
    other.write_bytes(wav(speechlike(30)))
    arguments = ("identify", recording, other, "--speakers", speakers)
    code, shown = on_terminal(*arguments, environment={**quick_sandbox.environment, "COLUMNS": "200"})
    assert code == 0
    assert [shown.count(text) for text in (b" until 0:40", b" until 0:30", b"  Sandbox: ")] == [1, 1, 1]


@pytest.mark.parametrize("content", ["label,source\nAda,ada.wav\n", ""])
def test_a_list_of_speakers_is_refused_with_the_command_that_enrolls_it(
    invoke, quick_sandbox, recording, tmp_path, content
):
    path = tmp_path / "speakers.csv"
    path.write_text(content)
    result = invoke("identify", recording, "--speakers", path, environment=quick_sandbox.environment)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {path}: The voiceprints cannot be read: ")
    assert "`pyannote-voiceprint enroll LIST`" in result.stderr


def test_a_record_is_read_back_and_its_job_id_was_on_stderr(invoke, records, quick_sandbox, speakers, recording):
    result = invoke("identify", recording, "--speakers", speakers, environment=quick_sandbox.environment)
    [record], [announced] = records(result.stdout), records(result.stderr)
    assert result.exit_code == 0
    assert (record["label"], record["status"], record["error"]) == ("talk", "succeeded", None)
    assert announced == {
        "label": "talk", "source": str(recording), "status": "submitted", "job_id": record["job_id"],
    }  # fmt: skip
    assert Identification.from_dict(record).job_id == record["job_id"]
    assert result.stderr.startswith("The run has 1 recording.\nTo be submitted: 1 job (40 s of audio to bill).\n")


def test_the_options_are_in_the_request(invoke, records, quick_sandbox, speakers, recording):
    options = ["--threshold", "100", "--exclusive-diarization", "--num-speakers", "2"]
    result = invoke("identify", recording, "--speakers", speakers, *options, environment=quick_sandbox.environment)
    [record] = records(result.stdout)
    assert {speaker["match"] for speaker in record["speakers"]} == {None}
    assert record["exclusive_diarization"] != []


@pytest.mark.parametrize(("option", "matched"), [([], 1), (["--no-exclusive-matching"], 3)])
def test_a_voiceprint_matches_several_speakers_only_without_exclusive_matching(
    invoke, records, quick_sandbox, tmp_path, option, matched
):
    one = tmp_path / "one.json"
    one.write_text(json.dumps({"Ada": voiceprint_of(b"ada")}))
    result = invoke("identify", _CONVERSATION, "--speakers", one, *option, environment=quick_sandbox.environment)
    [record] = records(result.stdout)
    assert [speaker["match"] for speaker in record["speakers"]].count("Ada") == matched


@pytest.mark.parametrize("ending", ["jsonl", "json", "rttm"])
def test_the_ending_of_out_chooses_the_format(invoke, records, quick_sandbox, speakers, recording, tmp_path, ending):
    out = tmp_path / f"names.{ending}"
    arguments = ["identify", recording, "--speakers", speakers, "--out", out]
    result = invoke(*arguments, environment=quick_sandbox.environment)
    text = out.read_text()
    assert result.stderr.splitlines()[-1] == f"Results of 1 recording: {out}"
    if ending == "rttm":
        assert text == Identification.from_dict(records(result.stdout)[0]).to_rttm("talk")
    else:
        assert (records(text) if ending == "jsonl" else json.loads(text)) == records(result.stdout)
    again = invoke(*arguments, "--dry-run", environment=quick_sandbox.environment)
    # An RTTM file may have been corrected by hand.
    assert again.exit_code == (2 if ending == "rttm" else 0)


def test_the_picture_is_a_png_and_may_be_replaced(invoke, quick_sandbox, speakers, recording, tmp_path):
    plot = tmp_path / "names.png"
    for _ in range(2):
        result = invoke(
            "identify", recording, "--speakers", speakers, "--plot", plot, environment=quick_sandbox.environment
        )
        assert (result.exit_code, result.stderr.splitlines()[-1]) == (0, f"Picture of 1 recording: {plot}")
        assert b"pyannote-voiceprint identify" in plot.read_bytes()[:1024]


def test_more_than_50_speakers_need_max_jobs(invoke, records, quick_sandbox, recording, tmp_path):
    many = make_speakers(tmp_path / "many.json", 120)
    arguments = ["identify", recording, "--speakers", many]
    refused = invoke(*arguments, environment=quick_sandbox.environment)
    assert refused.exit_code == 2
    assert "120 speakers and 1 recording need 3 jobs" in refused.stderr
    assert "--max-jobs 3" in refused.stderr
    too_few = invoke(*arguments, "--max-jobs", "2", environment=quick_sandbox.environment)
    assert (too_few.exit_code, "--max-jobs is 2" in too_few.stderr) == (2, True)
    assert quick_sandbox.state()["total"]["requests"] == 0

    result = invoke(*arguments, "--max-jobs", "3", environment=quick_sandbox.environment)
    assert result.exit_code == 0
    assert result.stderr.startswith(
        "The run has 1 recording, with 3 jobs for each.\nTo be submitted: 3 jobs (2 min of "
    )
    assert len({announced["job_id"] for announced in records(result.stderr)}) == 3
    [record] = records(result.stdout)
    assert {len(speaker["scores"]) for speaker in record["speakers"]} == {120}


def test_a_failed_recording_stops_no_other_and_is_exit_code_1(invoke, records, quick_sandbox, speakers, recording):
    arguments = ["https://example.com/unreachable/lost.wav", recording, "--speakers", speakers]
    result = invoke("identify", *arguments, environment=quick_sandbox.environment)
    lost, talk = sorted(records(result.stdout), key=lambda record: record["label"])
    assert result.exit_code == 1
    assert (talk["label"], talk["status"], talk["error"]) == ("talk", "succeeded", None)
    assert (lost["label"], lost["status"], lost["decisions"]) == ("lost", "failed", [])
    assert lost["error"] == f"Job {lost['job_id']} failed: Could not load audio. Failed jobs are not billed."
    assert result.stderr.endswith("Without a complete result: 1 of 2 recordings.\n")


def test_a_dry_run_sends_nothing(invoke, quick_sandbox, speakers, recording):
    result = invoke(
        "identify", recording, "https://example.com/a.wav", "--speakers", speakers, "--dry-run",
        environment=quick_sandbox.environment,
    )  # fmt: skip
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == (
        "Nothing was sent or changed. The run has 2 recordings.\n"
        "To be submitted: 2 jobs (40 s of audio to bill, and 1 whose length is not known here).\n"
    )
    assert quick_sandbox.state()["total"]["requests"] == 0


def test_what_the_api_would_refuse_is_refused_before_the_upload(invoke, quick_sandbox, speakers, tmp_path):
    (tmp_path / "huge.wav").write_bytes(wav(speechlike(1)))
    with (tmp_path / "huge.wav").open("r+b") as file:
        file.truncate(2**30 + 1)
    _write_sparse_wav(tmp_path / "long.wav", 25 * 3600)
    (tmp_path / "noise.wav").write_bytes(b"no audio")
    for name, problem in (
        ("huge", "at most 1024 MiB"),
        ("long", "lasts 25.0 h, and the API accepts at most 24 h; split it first"),
        ("noise", "audio"),
    ):
        path = tmp_path / f"{name}.wav"
        result = invoke("identify", path, "--speakers", speakers, environment=quick_sandbox.environment)
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"{name}.wav: " in result.stderr
        assert problem in result.stderr
    assert quick_sandbox.state()["total"]["requests"] == 0


def _write_sparse_wav(path, seconds):
    """Write 8-bit samples at 8 kHz that take no room on the disk."""
    size = seconds * 8000
    head = b"RIFF" + (size + 36).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    head += (1).to_bytes(2, "little") + (1).to_bytes(2, "little") + (8000).to_bytes(4, "little")
    head += (8000).to_bytes(4, "little") + (1).to_bytes(2, "little") + (8).to_bytes(2, "little")
    path.write_bytes(head + b"data" + size.to_bytes(4, "little"))
    with path.open("r+b") as file:
        file.truncate(44 + size)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "names.txt"], "--out must end in .jsonl, .json, .rttm, not 'names.txt'"),
        (["--plot", "names.jpg"], "--plot must end in .png, not 'names.jpg'"),
        (["--expected", "nobody"], "Expected speakers without a voiceprint: 'nobody'"),
        (["--model", "precision-9"], "no voiceprints of the model precision-9"),
    ],
)
def test_wrong_usage_sends_nothing(invoke, quick_sandbox, speakers, recording, arguments, message):
    result = invoke("identify", recording, "--speakers", speakers, *arguments, environment=quick_sandbox.environment)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert quick_sandbox.state()["total"]["requests"] == 0


def test_neither_the_voiceprints_nor_the_recordings_are_replaced(invoke, quick_sandbox, speakers, recording):
    before = speakers.read_bytes()
    result = invoke(
        "identify", recording, "--speakers", speakers, "--out", speakers, "--force",
        environment=quick_sandbox.environment,
    )  # fmt: skip
    assert (result.exit_code, speakers.read_bytes()) == (2, before)
