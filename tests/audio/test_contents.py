"""Audio after tags and inside other formats, and the codecs inside a format."""

import io

import pytest
from audio_files import ape, encoded, id3, mp3, ogg, ogg_flac, speechlike, wav

from pyannote_voiceprint_async.audio import check_audio
from pyannote_voiceprint_async.audio.contents import parse_contents, unsupported_codec
from pyannote_voiceprint_async.audio.source import FileSlice

SPEECH = speechlike()
MP3 = mp3(SPEECH)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (wav(SPEECH), "WAV"),
        (wav(MP3, tag=0x55), "MP3"),
        (ogg_flac(SPEECH), "FLAC"),
        (id3() + id3(bytes(300)) + MP3, "MP3"),
        (id3(footer=True) + id3() + id3() + MP3, "MP3"),
        (id3(bytes(20)) + encoded(SPEECH), "FLAC"),
        (id3(bytes(20)) + wav(SPEECH), "WAV"),
        (bytes(5000) + MP3, "MP3"),
        (ape(bytes(200)) + MP3, "MP3"),
    ],
    ids=[
        "WAV", "MP3 in WAV", "FLAC in Ogg", "two ID3 tags", "three ID3 tags", "ID3 before FLAC", "ID3 before WAV",
        "zeros before MP3", "APE before MP3",
    ],
)  # fmt: skip
def test_audio_after_tags_and_inside_other_formats_is_measured(data, kind):
    report = check_audio(data)
    assert (report.format, report.findings) == (kind, ())
    assert report.facts.seconds == pytest.approx(2.0, abs=0.1)


UNSUPPORTED = [
    (ogg([b"Speex   1.2rc1" + bytes(60), bytes(500)]), "Ogg with Speex"),
    (ogg([b"\x80theora" + bytes(60), bytes(500)]), "Ogg with Theora"),
    (wav(bytes(4000), tag=0x161), "WAV with WMA"),
    (wav(bytes(4000), tag=0x1234), "WAV with codec 0x1234"),
    (b"caff\0\1\0\0desc" + bytes(7) + b"\x20" + bytes(8) + b"aac " + bytes(100), "CAF with aac"),
    (
        b"FORM\0\0\x10\0AIFCCOMM\0\0\0\x18\0\1\0\0\x10\0\0\x10\x40\x0e\xac\x44" + bytes(6) + b"QDM2" + bytes(99),
        "AIFF with QDM2",
    ),
    (b".snd\0\0\0\x20\0\0\x10\0\0\0\0\x1c\0\0\x1f\x40\0\0\0\1" + bytes(99), "AU with codec 28"),
]


@pytest.mark.parametrize(("data", "name"), UNSUPPORTED, ids=[name for _, name in UNSUPPORTED])
def test_audio_with_a_codec_that_libsndfile_cannot_decode_is_uploaded_unchecked_with_a_warning(data, name):
    report = check_audio(data)
    assert (report.format, report.facts) == (name, None)
    (finding,) = report.findings
    assert (finding.code, finding.is_fatal) == ("unsupported", False)
    assert finding.message == f"is {name}, which cannot be checked here. It is uploaded unchecked"


@pytest.mark.parametrize(
    ("data", "name"),
    [(wav(SPEECH), "WAV"), (encoded(SPEECH, kind="OGG"), "Ogg"), (encoded(SPEECH), "FLAC"), (MP3, None)],
    ids=["WAV", "Ogg", "FLAC", "MP3"],
)
def test_audio_that_libsndfile_can_decode_has_no_unsupported_codec(data, name):
    contents = parse_contents(FileSlice(io.BytesIO(data)))
    assert (None if contents.format is None else contents.format.name) == name
    assert unsupported_codec(contents) is None
