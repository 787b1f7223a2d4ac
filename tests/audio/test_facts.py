import io
import struct
import tracemalloc

import attrs
import numpy as np
import pytest
from audio_files import FLOAT, RATE, encoded, mp3, speechlike, wav, with_flac_length, without_mp3_length

from pyannote_voiceprint_async.audio import cut, measure
from pyannote_voiceprint_async.errors import MediaError

SPEECH = speechlike()


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("allison-en.wav", 15.18),
        ("allison-es.wav", 14.81),
        ("carlo-it.wav", 12.92),
        ("ivrvoice-ru.wav", 10.66),
        ("june-fr.wav", 13.16),
        ("../conversation/conversation.flac", 75.62),
    ],
)
def test_real_speech_is_mostly_speech(speech, name, seconds):
    facts = measure(speech / name)
    assert (round(facts.seconds, 2), facts.sample_rate, facts.channels) == (seconds, 8000, 1)
    assert 0.7 * facts.seconds < facts.speech_seconds < 0.95 * facts.seconds
    assert -25 < facts.loudness_dbfs < -15
    assert facts.clipped == 0
    assert facts.header_seconds == facts.seconds
    assert not facts.is_truncated
    assert not facts.is_unclosed


@pytest.mark.parametrize(
    ("kind", "subtype", "rate"),
    [
        ("WAV", "PCM_16", 16000),
        ("WAV", "PCM_U8", 8000),
        ("WAV", "DOUBLE", 48000),
        ("WAV", "GSM610", 8000),
        ("WAV", "IMA_ADPCM", 16000),
        ("FLAC", "PCM_24", 44100),
        ("OGG", "VORBIS", 16000),
        ("OGG", "OPUS", 48000),
        ("MP3", "MPEG_LAYER_III", 44100),
        ("AIFF", "PCM_16", 22050),
        ("AU", "ULAW", 8000),
        ("RF64", "PCM_16", 16000),
        ("W64", "PCM_16", 16000),
    ],
)
def test_all_formats_are_named_and_measured_alike(kind, subtype, rate):
    samples = (
        np.tile(speechlike(rate=rate), (2, 1)).T if subtype not in {"GSM610", "IMA_ADPCM"} else speechlike(rate=rate)
    )
    facts = measure(encoded(samples / 2**15, rate=rate, kind=kind, subtype=subtype))
    assert (facts.format, facts.subtype, facts.sample_rate) == (kind, subtype, rate)
    assert facts.channels == samples.ndim
    assert facts.seconds == pytest.approx(2.0, abs=0.05)
    assert facts.loudness_dbfs == pytest.approx(-16.5, abs=0.5)
    assert facts.speech_seconds == pytest.approx(1.0, abs=0.2)
    assert not facts.is_truncated
    assert not facts.is_unclosed


@pytest.mark.parametrize("wrap", [bytes, io.BytesIO], ids=["bytes", "file"])
def test_bytes_files_and_paths_are_the_same_audio(tmp_path, wrap):
    path = tmp_path / "voice.wav"
    path.write_bytes(wav(SPEECH))
    assert measure(wrap(wav(SPEECH))) == measure(path)


def test_a_file_object_is_read_from_its_position_and_rewound_to_it():
    file = io.BytesIO(b"something" + wav(SPEECH))
    file.seek(9)
    assert measure(file) == measure(file) == measure(wav(SPEECH))
    assert file.tell() == 9


def test_a_waveform_has_facts_like_a_file():
    facts = measure({"waveform": SPEECH, "sample_rate": RATE})
    expected = measure(wav(SPEECH))
    assert facts == attrs.evolve(expected, format="waveform")


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.zeros(RATE, np.int16), -120.0),
        (np.full(RATE, -32768, np.int16), 0.0),
        (np.full(RATE, 328, np.int16), -40.0),
        (np.stack([SPEECH, -SPEECH], axis=1), -120.0),
    ],
    ids=["digital silence", "full scale", "one percent", "channels that cancel each other out"],
)
def test_loudness_is_that_of_the_mono_mix(samples, expected):
    assert measure(encoded(samples)).loudness_dbfs == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("samples", "subtype", "expected"),
    [
        (np.array([32767, -32768, 32766, 0], np.int16), "PCM_16", 0.5),
        (np.array([[32767, 0], [0, 0]], np.int16), "PCM_16", 0.25),
        (np.array([32767, 0, 0, 0], np.int16), "PCM_U8", 0.25),
        (np.array([32767, -32768, 0, 0], np.int16), "ULAW", 0.5),
        (np.array([1.5, -1.0, 0.9, 0.0]), "FLOAT", 0.5),
    ],
)
def test_clipped_is_the_share_of_samples_at_full_scale_of_their_coding(samples, subtype, expected):
    kind = "AU" if subtype == "ULAW" else "WAV"
    assert measure(encoded(samples, kind=kind, subtype=subtype)).clipped == expected


def test_steady_noise_is_not_speech():
    noise = (np.random.default_rng(1).normal(size=5 * RATE) * 3000).astype(np.int16)
    assert measure(wav(noise)).speech_seconds == 0


def big_endian_wav(samples):
    """A RIFX file, which is WAV in big-endian byte order."""
    head = struct.pack(">4sI4s4sI", b"RIFX", 36 + 2 * len(samples), b"WAVE", b"fmt ", 16)
    form = struct.pack(">HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    return head + form + struct.pack(">4sI", b"data", 2 * len(samples)) + samples.astype(">i2").tobytes()


def with_aiff_length(data, samples):
    """The same AIFF file with another stated number of samples."""
    place = data.index(b"SSND") + 4
    return data[:place] + struct.pack(">I", 8 + 2 * samples) + data[place + 4 :]


@pytest.mark.parametrize(
    ("data", "seconds", "stated", "is_truncated", "is_unclosed"),
    [
        (wav(SPEECH), 2.0, 2.0, False, False),
        (wav(SPEECH, tail=b"LIST\x04\0\0\0abcd"), 2.0, 2.0, False, False),
        (wav(SPEECH, tail=bytes(4096)), 2.0, 2.0, False, False),
        (wav(SPEECH, tail=bytes(100_001)), 2.0, 2.0, False, False),
        (wav(SPEECH, tail=bytes(100_000) + b"speech"), 2.0, 2.0, False, True),
        (wav(SPEECH, tail=b"LIST\xff\xff\0\0" + bytes(5000)), 2.0, 2.0, False, False),
        (wav(SPEECH)[:32044], 1.0, 2.0, True, False),
        (wav(SPEECH, data_length=640_000), 2.0, 20.0, True, False),
        (wav(SPEECH, data_length=0xFFFFFFFF, riff_length=0xFFFFFFFF), 2.0, 2.0, False, False),
        (wav(SPEECH, data_length=0x7FFFF000), 2.0, 2.0, False, False),
        (wav(SPEECH, data_length=0, riff_length=0), 0.0, 0.0, False, True),
        (wav(SPEECH, data_length=32000), 1.0, 1.0, False, True),
        (wav(SPEECH)[:44], 0.0, 0.0, False, False),
        (with_flac_length(encoded(SPEECH), 0), 2.0, 2.0, False, False),
        (with_flac_length(encoded(SPEECH), 64000), 2.0, 4.0, True, False),
        (encoded(SPEECH, kind="RF64", subtype="PCM_16")[:-32000], 1.0, 2.0, True, False),
        (encoded(SPEECH) + b"TAG" + bytes(125), 2.0, 2.0, False, False),
        (with_flac_length(encoded(speechlike(20)), 32000), 2.0, 2.0, False, True),
        (encoded(SPEECH) * 2, 2.0, 2.0, False, True),
        (wav(np.r_[SPEECH[:16000], np.full(16000, 0x4141, np.int16)], data_length=32000), 1.0, 1.0, False, True),
        (big_endian_wav(SPEECH), 2.0, 2.0, False, False),
        (big_endian_wav(SPEECH)[:-32000], 1.0, 2.0, True, False),
        (encoded(SPEECH, kind="AIFF"), 2.0, 2.0, False, False),
        (encoded(SPEECH, kind="AIFF")[:-32000], 1.0, 2.0, True, False),
        (with_aiff_length(encoded(SPEECH, kind="AIFF"), 16000), 1.0, 1.0, False, True),
        (with_aiff_length(encoded(SPEECH, kind="AIFF"), -4), 2.0, 2.0, False, False),
        (mp3(speechlike(20)) + mp3(speechlike(20)), 20.0, 20.0, False, True),
        (mp3(speechlike(20)) + b"APETAGEX" + bytes(100_000), 20.0, 20.0, False, False),
    ],
    ids=[
        "correct", "with another chunk", "padded with zeros",
        "with many zeros", "with something behind many zeros",
        "cut off in another chunk", "truncated", "states ten times as much",
        "streamed by ffmpeg", "streamed by sox", "never closed", "states half", "only a header",
        "FLAC of unknown length", "FLAC that states twice", "RF64 truncated", "FLAC with a tag at its end",
        "FLAC that states less", "two FLAC files joined", "states half, and letters follow", "RIFX", "RIFX truncated",
        "AIFF", "AIFF truncated", "AIFF that states half", "AIFF that states nothing", "two MP3 files joined",
        "MP3 with a picture at its end",
    ],
)  # fmt: skip
def test_wrong_headers_are_detected(data, seconds, stated, is_truncated, is_unclosed):
    facts = measure(data)
    assert (facts.seconds, facts.is_truncated, facts.is_unclosed) == (seconds, is_truncated, is_unclosed)
    assert facts.header_seconds == pytest.approx(stated, abs=0.001)


@pytest.mark.parametrize("kind", ["FLAC", "MP3"])
def test_half_a_file_is_truncated(kind):
    data = encoded(speechlike(20.0), kind=kind)
    facts = measure(data[: len(data) // 2])
    assert facts.is_truncated
    assert facts.header_seconds == pytest.approx(20.0, abs=0.1)
    assert 5 < facts.seconds < 11


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_joined_ogg_files_are_not_used_as_if_there_were_only_the_first(subtype):
    """The API may use the second file too, and its speaker would be part of the voiceprint unchecked."""
    first, second = (encoded(speechlike(seconds), kind="OGG", subtype=subtype) for seconds in (2, 3))
    assert not measure(first).is_unclosed
    joined = measure(first + second)
    assert (joined.seconds, joined.is_unclosed) == (2.0, True)
    with pytest.raises(MediaError, match=r"The audio continues after the 2\.00 s that its header states\. Set an end"):
        cut(first + second, 1, 4)


def test_a_sample_rate_of_gigahertz_needs_no_more_memory_than_others():
    data = wav(np.zeros(10_000_000, np.int16))
    data = data[:24] + struct.pack("<I", 2**31 - 1) + data[28:]
    tracemalloc.start()
    try:
        assert measure(data).sample_rate == 2**31 - 1
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("first", [0, 20])
def test_an_mp3_without_a_stated_length_is_read_to_its_end(first):
    """A length that is estimated from the first frame may be far too short or too long."""
    sound = [np.zeros(first * RATE, np.int16), speechlike(20.0), np.zeros((20 - first) * RATE, np.int16)]
    facts = measure(without_mp3_length(mp3(np.concatenate(sound))))
    assert facts.seconds == facts.header_seconds == pytest.approx(40.0, abs=0.2)
    assert not facts.is_truncated


def test_an_mp3_without_a_stated_length_is_never_reported_as_truncated():
    """Its length is estimated by libsndfile from the bit rate, and is wrong where the bit rate varies."""
    data = encoded(speechlike(5.0), kind="MP3")
    place = max(data.find(mark) for mark in (b"Xing", b"Info"))
    assert 0 < place < 512
    # Without the mark, it is an ordinary frame.
    facts = measure(b"ID3\x04\0\0\0\0\x01\x00" + bytes(128) + data[:place] + bytes(4) + data[place + 4 : -2000])
    assert not facts.is_truncated
    assert facts.seconds > 2


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "The audio is empty: it has no bytes."),
        (b"RIFF", "The file is in none of the audio formats that are recognized here. Use WAV, FLAC, MP3"),
        (b"hello world\n" * 100, "The file is in none of the audio formats"),
        (("hello world" * 100).encode("utf-16"), "The file is in none of the audio formats"),
        (b"\x89PNG\r\n" + bytes(1000), "The file is in none of the audio formats"),
        (b"\xff\xfb\x90\x64" + bytes(3000), "The file is in none of the audio formats"),
        (b"\0\0\0\x20ftypM4A " + bytes(1000), "The audio is MP4/M4A, which cannot be read here."),
        (b"\x1a\x45\xdf\xa3" + bytes(1000), "The audio is WebM/Matroska, which cannot be read here."),
        (wav(bytes(100), channels=0), "its header is damaged (channel count is zero). Export or copy the file again."),
        (wav(bytes(100), rate=0), "The audio cannot be read: its header is damaged"),
        (wav(bytes(8000), channels=2000), "its header is damaged (too many channels specified)"),
        (wav(np.full(RATE, np.nan, np.float32), tag=FLOAT), "samples that are NaN or infinite, the first at 0.00 s."),
        (
            wav(np.r_[np.zeros(RATE), np.inf, np.zeros(RATE)].astype(np.float32), tag=FLOAT),
            "samples that are NaN or infinite, the first at 1.00 s.",
        ),
        (wav(SPEECH.astype(np.float32), tag=FLOAT), "but floats must be between -1 and 1."),
    ],
    ids=[
        "empty", "four bytes", "text", "UTF-16 text", "picture", "MP3 mark only", "M4A", "WebM", "zero channels",
        "zero rate", "2000 channels", "NaN", "infinity", "floats of another scale",
    ],
)  # fmt: skip
def test_other_data_than_audio_is_refused_with_its_reason(data, sentence):
    with pytest.raises(MediaError) as caught:
        measure(data)
    assert sentence in str(caught.value)
    assert not caught.value.retryable
