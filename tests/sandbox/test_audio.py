import struct

import pytest

from pyannote_voiceprint_async.sandbox.audio import HEAD_BYTES, LONGEST_VOICE, read_header

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE


def flac(rate: int, samples: int, *, block: int = 0) -> bytes:
    packed = rate << 44 | 15 << 36 | samples
    return b"fLaC" + struct.pack(">I", block << 24 | 34) + bytes(10) + packed.to_bytes(8, "big") + bytes(16)


def usable(data: bytes) -> bool:
    return read_header(data[:HEAD_BYTES], len(data)).is_usable(LONGEST_VOICE)


@pytest.mark.parametrize("tag", [PCM, FLOAT, EXTENSIBLE])
@pytest.mark.parametrize(("seconds", "expected"), [(0.01, True), (30.0, True), (30.01, False), (0.0, False)])
def test_wav_of_any_format_is_usable_up_to_30_seconds(wav, tag, seconds, expected):
    assert usable(wav(seconds, tag=tag)) is expected


def test_a_wav_may_have_other_chunks_before_its_samples(wav):
    odd = struct.pack("<4sI", b"LIST", 5) + b"hello" + b"\0"
    assert usable(wav(1.0, before_data=odd))
    assert not usable(wav(31.0, before_data=odd))


@pytest.mark.parametrize(("seconds", "expected"), [(20.0, True), (40.0, False)])
def test_the_duration_of_a_streamed_wav_comes_from_its_size(wav, seconds, expected):
    """A writer that cannot seek leaves 0xFFFFFFFF as the length."""
    data = bytearray(wav(seconds))
    struct.pack_into("<I", data, 40, 0xFFFFFFFF)
    assert usable(bytes(data)) is expected


@pytest.mark.parametrize("cut", [12, 20, 36, 40, 43])
def test_a_wav_that_ends_in_its_header_is_not_usable(wav, cut):
    assert not usable(wav(1.0)[:cut])


def test_a_wav_without_byte_rate_is_not_usable(wav):
    data = bytearray(wav(1.0))
    struct.pack_into("<I", data, 28, 0)
    assert not usable(bytes(data))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (flac(16000, 16000 * 30), True),
        (flac(16000, 16000 * 30 + 1), False),
        (flac(655_350, 655_350 * 31), False),
        (flac(16000, 0), True),
        (flac(0, 16000), False),
        (flac(16000, 16000, block=4), False),
        (flac(16000, 16000)[:25], False),
    ],
    ids=["30 s", "longer", "highest rate", "unknown length", "no rate", "no STREAMINFO", "truncated"],
)
def test_flac_is_usable_up_to_30_seconds(data, expected):
    assert usable(data) is expected


@pytest.mark.parametrize(
    "head",
    [
        b"OggS\0",
        b"ID3\x04\0",
        b"\xff\xfb\x90\x64",
        b"\xff\xf3\x40\xc0",
        b"\0\0\0\x20ftypM4A ",
        b"\x1a\x45\xdf\xa3\x01",
        b"FORM\0\0\0\0AIFF",
        b"FORM\0\0\0\0AIFC",
        b".snd\0\0\0\x20",
        b"caff\0\1\0\0",
        b"RF64\xff\xff\xff\xffWAVE",
        b"riff\x2e\x91\xcf\x11",
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
        b"#!AMR\n",
        b"wvpk",
        b"RIFF\0\0\0\0AVI LIST",
        b"\x0b\x77",
        b"\0\0\0\x08wide",
    ],
)
def test_other_formats_are_recognized_by_their_first_bytes(head):
    assert usable(head + bytes(100))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"hello",
        b"<html>",
        "text".encode("utf-16"),
        b"\x89PNG\r\n",
        b"FORM\0\0\0\0ILBM",
        b"%PDF-1.7",
    ],
)
def test_other_data_is_not_usable(data):
    assert not usable(data)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("allison-en.wav", True),
        ("allison-es.wav", True),
        ("carlo-it.wav", True),
        ("june-fr.wav", True),
        ("ivrvoice-ru.wav", True),
        ("../conversation/conversation.flac", False),
        ("ATTRIBUTION.md", False),
    ],
)
def test_real_speech_is_usable_and_a_long_conversation_is_not(speech, name, expected):
    assert usable((speech / name).read_bytes()) is expected
