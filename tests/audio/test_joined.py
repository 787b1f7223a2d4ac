"""Several files that were joined end to end."""

import pytest
from audio_files import RATE, encoded, finding_codes, id3, mp3, ogg_flac, speechlike, wav

from pyannote_voiceprint_async.audio import check_audio

SPEECH = speechlike()
MP3 = mp3(SPEECH)
KINDS = [
    ("WAV", "PCM_16"), ("WAV", "IMA_ADPCM"), ("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("AIFF", "PCM_16"),
    ("AU", "PCM_16"), ("CAF", "PCM_16"), ("CAF", "ALAC_16"), ("W64", "PCM_16"), ("SVX", "PCM_16"), ("NIST", "PCM_16"),
    ("VOC", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MAT4", "PCM_16"), ("MAT5", "PCM_16"),
    ("PVF", "PCM_16"), ("PAF", "PCM_16"), ("IRCAM", "PCM_16"), ("AVR", "PCM_16"), ("WVE", "ALAW"),
    ("MP3", "MPEG_LAYER_III"),
]  # fmt: skip


def encoded_speech(kind, subtype, seconds, **options):
    rate = {"WVE": 8000}.get(kind, RATE)
    return encoded(speechlike(seconds, rate=rate), rate=rate, kind=kind, subtype=subtype, **options)


@pytest.mark.parametrize(("kind", "subtype"), KINDS, ids=[" ".join(one) for one in KINDS])
@pytest.mark.parametrize("seconds", [0.3, 2.0])
def test_joined_files_are_measured_as_a_whole_or_refused(kind, subtype, seconds):
    """Otherwise a speaker of the second file would be part of the voiceprint without a warning."""
    first = encoded_speech(kind, subtype, 2.0)
    assert finding_codes(first) == []
    report = check_audio(first + encoded_speech(kind, subtype, seconds))
    is_whole = report.facts is not None and report.facts.seconds == pytest.approx(2.0 + seconds, abs=0.1)
    assert is_whole or any(finding.is_fatal for finding in report.findings)


@pytest.mark.parametrize(
    "joined",
    [
        ogg_flac(SPEECH) * 2,
        wav(MP3, tag=0x55) * 2,
        wav(bytes(4000), tag=0x161) * 2,
        (b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42" + bytes(100)) * 2,
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm" + bytes(100)) * 2,
        wav(SPEECH) + encoded(SPEECH),
        encoded(SPEECH) + wav(SPEECH),
        encoded(SPEECH, kind="OGG") + wav(SPEECH),
        MP3 + wav(SPEECH),
        MP3 + encoded(SPEECH),
        wav(SPEECH, tail=b"LIST\x04\0\0\0abcd") + wav(SPEECH),
        id3() + wav(SPEECH) + id3() + wav(SPEECH),
        encoded(SPEECH, kind="OGG") + encoded(SPEECH, kind="OGG", subtype="OPUS") + encoded(SPEECH, kind="OGG"),
    ],
    ids=[
        "FLAC in Ogg", "MP3 in WAV", "WMA in WAV", "M4A", "WebM", "WAV and FLAC", "FLAC and WAV", "Ogg and WAV",
        "MP3 and WAV", "MP3 and FLAC", "WAV with a chunk", "WAV with tags", "three Ogg files",
    ],
)  # fmt: skip
def test_joined_files_of_several_formats_are_refused(joined):
    assert "joined" in finding_codes(joined)


def test_signatures_inside_a_container_are_not_a_second_file():
    """Matroska may embed the header of a FLAC file, and WavPack that of the WAV file that it was created from."""
    head = encoded(SPEECH)[:42]
    assert finding_codes(b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm" + bytes(100) + head) == ["unsupported"]
    assert finding_codes(b"wvpk" + bytes(28) + wav(SPEECH)[:44] + bytes(100)) == ["unsupported"]
