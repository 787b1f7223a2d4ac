"""Formats that are recognized by their first bytes."""

import io

import pytest
from audio_files import encoded, id3, mp3, speechlike, wav

from pyannote_voiceprint_async.audio import check_audio
from pyannote_voiceprint_async.audio.formats import audio_start, detect_format
from pyannote_voiceprint_async.audio.source import FileSlice
from pyannote_voiceprint_async.errors import MediaError

UNSUPPORTED = [
    (b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42" + bytes(100), "MP4/M4A"),
    (b"\0\0\0\x14ftypqt  \0\0\x02\0qt  " + bytes(100), "MOV"),
    (b"\0\0\0\x08wide\0\0\x10\0mdat" + bytes(100), "MOV"),
    (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm" + bytes(100), "WebM/Matroska"),
    (b"RIFF\0\x10\0\0AVI LIST" + bytes(100), "AVI"),
    (b"RIFF\0\x10\0\0QLCMfmt " + bytes(100), "QCP"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9" + bytes(100), "WMA/ASF"),
    (b"#!AMR-WB\n" + bytes(100), "AMR"),
    (b"\xff\xf1\x60\x40" + bytes(100), "AAC"),
    (b"\xff\xf0\x60\x40" + bytes(100), "AAC"),
    (id3(b"PRIV" + bytes(16)) + b"\xff\xf1\x60\x40" + bytes(100), "AAC"),
    (id3() + id3() + b"\xff\xf8\x60\x40" + bytes(100), "AAC"),
    (b"ADIF" + bytes(100), "AAC"),
    ((b"V\xe0\x40" + bytes(61)) * 5, "AAC"),
    (b"\x0b\x77" + bytes(100), "AC-3"),
    (b"\x7f\xfe\x80\x01" + bytes(100), "DTS"),
    ((b"\x47" + bytes(187)) * 4, "MPEG-TS"),
    (b"\0\0\x01\xba" + bytes(100), "MPEG-PS"),
    (b"wvpk" + bytes(100), "WavPack"),
    (b"MAC \x96\x0f" + bytes(100), "Monkey's Audio"),
    (b"TTA1" + bytes(100), "True Audio"),
    (b"MPCKSH" + bytes(100), "Musepack"),
    (b"FLV\x01" + bytes(100), "FLV"),
    (b".RMF" + bytes(100), "RealMedia"),
]


@pytest.mark.parametrize(("data", "name"), UNSUPPORTED, ids=[name for _, name in UNSUPPORTED])
def test_audio_in_a_format_that_libsndfile_cannot_decode_is_uploaded_unchecked_with_a_warning(data, name):
    report = check_audio(data)
    assert (report.format, report.facts) == (name, None)
    (finding,) = report.findings
    assert (finding.code, finding.is_fatal) == ("unsupported", False)
    assert finding.message == f"is {name}, which cannot be checked here. It is uploaded unchecked"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (wav(speechlike()), "WAV"),
        (encoded(speechlike()), "FLAC"),
        (encoded(speechlike(), kind="OGG"), "Ogg"),
        (encoded(speechlike(), kind="AIFF"), "AIFF"),
        (id3(bytes(100)) + encoded(speechlike(), kind="CAF"), "CAF"),
        (id3(bytes(100)) + b"#!AMR\n" + bytes(100), "AMR"),
    ],
    ids=["WAV", "FLAC", "Ogg", "AIFF", "CAF after a tag", "AMR after a tag"],
)
def test_a_format_is_recognized_after_leading_tags(data, name):
    assert detect_format(FileSlice(io.BytesIO(data))).name == name


@pytest.mark.parametrize("data", [mp3(speechlike()), b"hello world\n" * 100], ids=["MP3", "text"])
def test_mp3_and_text_have_no_signature(data):
    assert detect_format(FileSlice(io.BytesIO(data))) is None


def test_audio_starts_after_all_leading_tags():
    tags = id3(bytes(100)) + id3(footer=True)
    assert audio_start(FileSlice(io.BytesIO(tags + wav(speechlike())))) == len(tags)


@pytest.mark.parametrize(
    "text", [b"hello world\n", b"MAC addresses of the office\n", b"the free lunch\n", b"Versions\n"]
)
def test_text_that_begins_like_a_signature_is_refused(text):
    with pytest.raises(MediaError, match="in none of the audio formats that are recognized here"):
        check_audio(text * 100)
