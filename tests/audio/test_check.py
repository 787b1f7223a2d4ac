"""The check of local audio: what is measured, what is uploaded unchecked, and what is refused."""

import pytest
from audio_files import RATE, ape, encoded, id3, mp3, ogg, ogg_flac, speechlike, wav, without_mp3_length

from pyannote_voiceprint_async.audio import check_audio
from pyannote_voiceprint_async.errors import MediaError

SPEECH = speechlike()
MP3 = mp3(SPEECH)


def codes(source, **options):
    return [finding.code for finding in check_audio(source, **options).findings]


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
def test_audio_is_measured_inside_tags_and_other_formats(data, kind):
    result = check_audio(data)
    assert (result.format, result.findings) == (kind, ())
    assert result.facts.seconds == pytest.approx(2.0, abs=0.1)


def fmt(codec):
    """A WAV file with a codec that nobody here knows."""
    return wav(bytes(4000), tag=codec)


FOREIGN = [
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
    (ogg([b"Speex   1.2rc1" + bytes(60), bytes(500)]), "Ogg with Speex"),
    (ogg([b"\x80theora" + bytes(60), bytes(500)]), "Ogg with Theora"),
    (fmt(0x161), "WAV with WMA"),
    (fmt(0x1234), "WAV with codec 0x1234"),
    (b"caff\0\1\0\0desc" + bytes(7) + b"\x20" + bytes(8) + b"aac " + bytes(100), "CAF with aac"),
    (
        b"FORM\0\0\x10\0AIFCCOMM\0\0\0\x18\0\1\0\0\x10\0\0\x10\x40\x0e\xac\x44" + bytes(6) + b"QDM2" + bytes(99),
        "AIFF with QDM2",
    ),
    (b".snd\0\0\0\x20\0\0\x10\0\0\0\0\x1c\0\0\x1f\x40\0\0\0\1" + bytes(99), "AU with codec 28"),
]


@pytest.mark.parametrize(("data", "name"), FOREIGN, ids=[name for _, name in FOREIGN])
def test_audio_that_cannot_be_read_here_is_uploaded_unchecked(data, name):
    result = check_audio(data)
    assert (result.format, result.facts) == (name, None)
    (finding,) = result.findings
    assert (finding.code, finding.is_fatal) == ("foreign", False)
    assert finding.message == f"is {name}, which cannot be checked here; it is uploaded unchecked"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (wav(bytes(100), channels=0), "its header is damaged"),
        (b"hello world\n" * 100, "in none of the audio formats that are recognized here"),
        (b"MAC addresses of the office\n" * 100, "in none of the audio formats that are recognized here"),
        (b"the free lunch\n" * 100, "in none of the audio formats that are recognized here"),
        (b"Versions\n" * 100, "in none of the audio formats that are recognized here"),
    ],
)
def test_text_and_damage_are_refused(data, sentence):
    with pytest.raises(MediaError, match=sentence):
        check_audio(data)


# --- joined files ----------------------------------------------------------------------------------------------------

KINDS = [
    ("WAV", "PCM_16"), ("WAV", "IMA_ADPCM"), ("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("AIFF", "PCM_16"),
    ("AU", "PCM_16"), ("CAF", "PCM_16"), ("CAF", "ALAC_16"), ("W64", "PCM_16"), ("SVX", "PCM_16"), ("NIST", "PCM_16"),
    ("VOC", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MAT4", "PCM_16"), ("MAT5", "PCM_16"),
    ("PVF", "PCM_16"), ("PAF", "PCM_16"), ("IRCAM", "PCM_16"), ("AVR", "PCM_16"), ("WVE", "ALAW"),
    ("MP3", "MPEG_LAYER_III"),
]  # fmt: skip


def made(kind, subtype, seconds, **options):
    rate = {"WVE": 8000}.get(kind, RATE)
    return encoded(speechlike(seconds, rate=rate), rate=rate, kind=kind, subtype=subtype, **options)


@pytest.mark.parametrize(("kind", "subtype"), KINDS, ids=[" ".join(one) for one in KINDS])
@pytest.mark.parametrize("seconds", [0.3, 2.0])
def test_joined_files_are_measured_whole_or_refused(kind, subtype, seconds):
    """Who speaks in the second file would be in the voiceprint, and nobody would have been warned."""
    first = made(kind, subtype, 2.0)
    assert codes(first) == []
    result = check_audio(first + made(kind, subtype, seconds))
    is_whole = result.facts is not None and result.facts.seconds == pytest.approx(2.0 + seconds, abs=0.1)
    assert is_whole or any(finding.is_fatal for finding in result.findings)


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
def test_files_of_several_kinds_that_were_joined_are_refused(joined):
    assert "joined" in codes(joined)


def test_signatures_inside_a_container_are_no_second_file():
    """Matroska holds the head of a FLAC file, WavPack that of the WAV file that it was made of."""
    head = encoded(SPEECH)[:42]
    assert codes(b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm" + bytes(100) + head) == ["foreign"]
    assert codes(b"wvpk" + bytes(28) + wav(SPEECH)[:44] + bytes(100)) == ["foreign"]


BEHIND = {
    "ID3v1": b"TAG" + bytes(125),
    "ID3v1 and its longer form": b"TAG+" + bytes(223) + b"TAG" + bytes(125),
    "APEv2": ape(b"\xff\xfb\x90\x64" * 300),
    "APEv2 and ID3v1": ape(bytes(300)) + b"TAG" + bytes(125),
    "Lyrics3": b"LYRICSBEGININD0000200EAR00003abc" + b"\xff\xfb" * 50 + b"000137LYRICS200TAG" + bytes(125),
    "ID3v2 with footer": id3(b"\xff\xfb\x90\x64" * 300, footer=True),
    "zeros": bytes(10_000),
    "something else": bytes(range(256)) * 40,
}


@pytest.mark.parametrize("tags", BEHIND.values(), ids=BEHIND)
def test_tags_behind_an_mp3_are_no_audio(tags):
    result = check_audio(MP3 + tags)
    assert (result.findings, result.facts.is_unclosed) == ((), False)


@pytest.mark.parametrize("tags", [b"", *BEHIND.values()], ids=["nothing", *BEHIND])
@pytest.mark.parametrize(
    "second",
    [MP3, mp3(speechlike(0.2)), mp3(speechlike(1.0, rate=44100), rate=44100), without_mp3_length(MP3)],
    ids=["the same", "a fifth of a second", "another rate", "without a length"],
)
def test_audio_behind_an_mp3_that_states_its_length_is_found_behind_all_tags(tags, second):
    result = check_audio(MP3 + tags + id3(bytes(50)) + second)
    assert [finding.code for finding in result.findings] == ["joined"]
    assert "after the 2.0 s of its first part" in result.findings[0].message
    assert result.facts.is_joined


def vbri(data):
    """The same MP3 file with the header of another encoder."""
    frame = without_mp3_length(data)
    first = data[: len(data) - len(frame)]
    place = max(first.find(mark) for mark in (b"Xing", b"Info"))
    frames = first[place + 8 : place + 12]
    head = first[:4] + bytes(32) + b"VBRI\0\1\0\0\0\0" + bytes(4) + frames
    return head.ljust(len(first), b"\0") + frame


def test_the_header_of_another_encoder_is_read():
    assert not check_audio(vbri(MP3)).facts.is_unclosed
    assert "joined" in codes(vbri(MP3) + MP3)


def test_joined_mp3_files_without_a_stated_length_are_measured_whole():
    plain = without_mp3_length(MP3)
    assert check_audio(plain + plain).facts.seconds == pytest.approx(4.0, abs=0.2)
    assert codes(plain + plain) == []


def test_an_mp3_that_goes_on_at_another_rate_is_refused():
    """A decoder stops there: the first file has no header that would state its length."""
    other = without_mp3_length(mp3(speechlike(2.0, rate=44100), rate=44100))
    assert codes(without_mp3_length(MP3) + other) == ["joined"]


# --- quick ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [wav(speechlike(31)), without_mp3_length(mp3(speechlike(40))), ogg_flac(speechlike(40))],
    ids=["by its header", "MP3 without a length", "FLAC of another kind"],
)  # fmt: skip
def test_a_quick_check_stops_when_audio_is_too_long(data):
    result = check_audio(data, is_quick=True)
    assert result.facts is None
    (finding,) = result.findings
    assert (finding.code, finding.is_fatal) == ("too_long", True)
    assert finding.message.endswith(
        "a voiceprint takes at most 30 s: cut it with start and end in a list, or have it trimmed (enroll --trim)"
    )


@pytest.mark.parametrize("data", [wav(SPEECH), MP3, wav(speechlike(0.5)), MP3 * 2, wav(SPEECH)[:-9000]])
def test_a_quick_check_finds_the_same_otherwise(data):
    assert check_audio(data, is_quick=True) == check_audio(data)
