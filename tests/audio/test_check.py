"""The check of local audio; what each module finds is tested in the file of that module."""

import pytest
from audio_files import mp3, ogg_flac, speechlike, wav, without_mp3_length

from pyannote_voiceprint_async.audio import check_audio
from pyannote_voiceprint_async.errors import MediaError

SPEECH = speechlike()
MP3 = mp3(SPEECH)


def test_a_damaged_header_is_refused():
    with pytest.raises(MediaError, match="its header is damaged"):
        check_audio(wav(bytes(100), channels=0))


@pytest.mark.parametrize(
    "data", [wav(speechlike(31)), without_mp3_length(mp3(speechlike(40))), ogg_flac(speechlike(40))],
    ids=["by its header", "MP3 without a length", "FLAC in Ogg"],
)  # fmt: skip
def test_a_quick_check_stops_when_audio_is_too_long(data):
    report = check_audio(data, is_quick=True)
    assert report.facts is None
    (finding,) = report.findings
    assert (finding.code, finding.is_fatal) == ("too_long", True)
    assert finding.message.endswith(
        "A voiceprint takes at most 30 s: select a segment with start and end in a list, or trim it (enroll --trim)"
    )


@pytest.mark.parametrize("data", [wav(SPEECH), MP3, wav(speechlike(0.5)), MP3 * 2, wav(SPEECH)[:-9000]])
def test_a_quick_check_reports_the_same_about_other_audio(data):
    assert check_audio(data, is_quick=True) == check_audio(data)
