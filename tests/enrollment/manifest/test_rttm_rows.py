"""Rows for the speakers of a conversation; names are compared in NFC."""

import pytest
from audio_files import speechlike, wav

from pyannote_voiceprint_async import ConfigurationError
from pyannote_voiceprint_async.enrollment import rows_from_rttm

NFC, NFD = "Jos\u00e9", "Jose\u0301"


def line(speaker, start=0):
    return f"SPEAKER talk 1 {start} 3 <NA> <NA> {speaker} <NA> <NA>"


@pytest.fixture
def talk(tmp_path):
    path = tmp_path / "talk.wav"
    path.write_bytes(wav(speechlike(8)))
    return path


@pytest.mark.parametrize(("written", "given"), [(NFC, NFD), (NFD, NFC)])
def test_a_speaker_is_renamed_in_either_unicode_form(talk, written, given):
    (row,) = rows_from_rttm([line(written)], talk, labels={given: "Zoe\u0308"})
    assert (row.label, row.extra) == ("Zo\u00eb", {"speaker": NFC})


def test_two_forms_of_a_name_are_one_speaker(talk):
    (row,) = rows_from_rttm([line(NFC), line(NFD, 4)], talk)
    assert (row.label, row.segments) == (NFC, ((0.0, 3.0), (4.0, 7.0)))


def test_two_speakers_cannot_get_one_label_in_two_forms(talk):
    with pytest.raises(ConfigurationError, match="would both get the label"):
        rows_from_rttm([line("a"), line("b", 4)], talk, labels={"a": NFC, "b": NFD})


def test_one_speaker_cannot_have_two_names_in_two_forms(talk):
    with pytest.raises(ConfigurationError, match="two Unicode forms"):
        rows_from_rttm([line(NFC)], talk, labels={NFC: "one", NFD: "two"})


def test_the_files_are_found_in_either_unicode_form(tmp_path):
    (tmp_path / f"{NFD}.wav").write_bytes(wav(speechlike(8)))
    (tmp_path / f"{NFD}.rttm").write_text(line("a").replace("talk", NFC))
    (row,) = rows_from_rttm(tmp_path / f"{NFC}.rttm", tmp_path / f"{NFC}.wav")
    assert (row.source, row.warnings) == (tmp_path / f"{NFD}.wav", ())


def test_an_rttm_that_is_a_str_is_refused(talk, tmp_path):
    """A str could be the path or the text of the RTTM."""
    (tmp_path / "talk.rttm").write_text(line("a"))
    for rttm in (line("a"), str(tmp_path / "talk.rttm")):
        with pytest.raises(
            TypeError, match=r"Pass a file as pathlib\.Path\(\.\.\.\), and text as text\.splitlines\(\)"
        ):
            rows_from_rttm(rttm, talk)


def test_audio_that_is_a_str_is_refused(talk):
    """A str that means audio is a URL everywhere else."""
    with pytest.raises(TypeError, match=r"Pass the file as pathlib\.Path"):
        rows_from_rttm([line("a")], str(talk))
