"""Clips: segments that are cut out of recordings, and the best segment of a recording."""

import io
import re

import attrs
import numpy as np
import pytest
from audio_files import FLOAT, RATE, decoded, encoded, mp3, speechlike, wav, with_flac_length, without_mp3_length
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyannote_voiceprint_async.audio import as_clip, assess, best_segment, cut, cut_segments, measure
from pyannote_voiceprint_async.errors import MediaError

LONG = np.random.default_rng(3).integers(-20000, 20000, size=(11025 * 4, 2), dtype=np.int16)
LONG_RATE = 11025
LONG_FILES = {
    "WAV": encoded(LONG, rate=LONG_RATE, kind="WAV"),
    "FLAC": encoded(LONG, rate=LONG_RATE),
    "mono WAV": encoded(LONG[:, 0], rate=LONG_RATE, kind="WAV"),
}


@st.composite
def ranges(draw):
    seconds = len(LONG) / LONG_RATE
    first, second = sorted((draw(st.floats(0, seconds)), draw(st.floats(0, seconds))))
    return (first, second) if first < second else (0.0, seconds)


@pytest.mark.parametrize("kind", LONG_FILES)
@settings(deadline=None, max_examples=60)
@given(place=ranges())
def test_a_clip_has_the_samples_of_the_mono_mix(kind, place):
    start, end = place
    clip = cut(LONG_FILES[kind], start, end)
    samples = decoded(clip.audio).astype(float)
    count = max(1, round((end - start) * LONG_RATE))
    first = min(round(start * LONG_RATE), len(LONG) - count)
    mix = (LONG[:, :1] if kind == "mono WAV" else LONG).mean(axis=1)[first : first + count]
    assert len(samples) == count
    assert clip.seconds == count / LONG_RATE
    # The mean of two channels with an odd sum is rounded by half a step.
    assert np.abs(samples - mix).max() <= (0.0 if kind == "mono WAV" else 0.5)


@pytest.mark.parametrize(
    ("kind", "subtype", "expected"),
    [
        ("WAV", "PCM_U8", "PCM_16"),
        ("WAV", "PCM_16", "PCM_16"),
        ("WAV", "PCM_24", "PCM_24"),
        ("WAV", "PCM_32", "PCM_24"),
        ("WAV", "FLOAT", "PCM_24"),
        ("FLAC", "PCM_24", "PCM_24"),
        ("OGG", "VORBIS", "PCM_16"),
        ("MP3", "MPEG_LAYER_III", "PCM_16"),
        ("WAV", "GSM610", "PCM_16"),
    ],
)
def test_a_clip_is_mono_flac_at_the_sample_rate_of_its_source(kind, subtype, expected):
    rate = 8000 if subtype == "GSM610" else 44100
    samples = np.random.default_rng(4).normal(size=rate * 3) * 0.1
    clip = cut(encoded(samples, rate=rate, kind=kind, subtype=subtype), 1, 2)
    facts = measure(clip.audio)
    assert (facts.format, facts.subtype, facts.channels, facts.sample_rate) == ("FLAC", expected, 1, rate)
    assert facts.seconds == clip.seconds == 1.0


@pytest.mark.parametrize(("subtype", "dtype"), [("PCM_16", "int16"), ("PCM_24", "int32")])
def test_samples_are_kept_exactly(subtype, dtype):
    samples = np.random.default_rng(6).integers(-(2**31), 2**31, size=RATE, dtype=np.int64) >> 8 << 8
    data = encoded(samples.astype(np.int32), kind="WAV", subtype=subtype)
    assert np.array_equal(decoded(cut(data).audio, dtype), decoded(data, dtype))


def test_floats_beyond_full_scale_are_clipped_and_do_not_wrap_around():
    data = encoded(np.array([1.7, -1.7, 1.0, -1.0]), kind="WAV", subtype="DOUBLE")
    assert list(decoded(cut(data).audio)) == [32767, -32768, 32767, -32768]


SOUND = speechlike(4.0)
# Quiet passages have MP3 frames of a few bytes, and the loud frames after them use the bits that these save.
BURSTS = np.tile(np.r_[np.zeros(RATE, np.int16), speechlike(0.5)], 20)
TRUNCATED = "The audio ends at 2.00 s (damaged or incomplete: its header states 4.00 s), before the clip's end at 3 s."
NEVER_CLOSED = (
    "The audio continues after the 0.00 s that its header states: its recording was interrupted. "
    "Set an end before that, or repair the header: ffmpeg -ignore_length 1 -i FILE -c copy repaired.wav"
)
FLAC_RATES = (
    "The audio has a sample rate of {} Hz. FLAC supports up to 65535 Hz, and multiples of 10 Hz up to 655350 Hz. "
    "Resample it first."
)
NOT_FINITE = (
    "The audio has samples that are NaN or infinite, the first at 2.00 s. "
    "The program that computed it has an error: create it again."
)


@pytest.mark.parametrize(
    "same",
    [
        lambda: cut(wav(SOUND), 1, 3),
        lambda: cut(wav(SOUND, tail=b"LIST\x04\0\0\0abcd"), 1, 3),
        lambda: cut(encoded(SOUND), 1, 3),
        lambda: cut(encoded(SOUND, kind="AIFF"), 1, 3),
        lambda: cut(encoded(SOUND / 2**15, kind="WAV", subtype="DOUBLE"), 1, 3),
        lambda: cut(encoded(np.stack([SOUND, SOUND], axis=1)), 1, 3),
        lambda: cut(cut(wav(SOUND), 1, 3).audio),
        lambda: cut(cut(wav(SOUND), 0.5, 3.5).audio, 0.5, 2.5),
        lambda: cut_segments(wav(SOUND), [(1, 1.5), (1.5, 3)]),
        lambda: as_clip(SOUND[RATE : 3 * RATE], RATE),
        lambda: as_clip((SOUND[RATE : 3 * RATE] / 2**15).astype(np.float32), RATE),
        lambda: cut({"waveform": SOUND, "sample_rate": RATE}, 1, 3),
    ],
    ids=[
        "WAV", "tagged WAV", "FLAC", "AIFF", "doubles", "two equal channels", "clip of a clip", "segment of a clip",
        "joined segments", "int16 array", "float array", "waveform",
    ],
)  # fmt: skip
def test_the_same_audio_has_the_same_digest_wherever_it_comes_from(same):
    assert same().digest == cut(wav(SOUND), 1, 3).digest


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["PCM_24", "DOUBLE", "FLOAT"]))
def test_a_clip_of_fine_audio_keeps_its_digest_when_it_is_read_again(seed, subtype):
    samples = np.random.default_rng(seed).normal(size=2000) * 0.2
    clip = cut(encoded(samples, kind="WAV", subtype=subtype))
    assert cut(clip.audio).digest == clip.digest


@pytest.mark.parametrize(
    "other",
    [
        lambda: cut(wav(SOUND), 1, 2.9999),
        lambda: cut(wav(SOUND), 1.0001, 3.0001),
        lambda: cut(wav(SOUND, rate=8000), 2, 6),
        lambda: cut(wav(-SOUND), 1, 3),
        lambda: cut_segments(wav(SOUND), [(1.5, 3), (1, 1.5)]),
    ],
    ids=["shorter", "later", "slower", "upside down", "other order"],
)
def test_other_audio_has_another_digest(other):
    assert other().digest != cut(wav(SOUND), 1, 3).digest


def test_a_clip_does_not_show_its_audio_and_can_be_assessed():
    clip = cut(wav(SOUND), 1, 3)
    assert "fLaC" not in repr(clip)
    assert assess(clip.facts) == ()
    assert attrs.evolve(clip.facts, format="FLAC") == measure(clip.audio)


def test_a_clip_has_the_channels_and_the_clipping_of_its_source():
    facts = cut(encoded(np.tile(np.int16(32767), (RATE, 2)), kind="WAV")).facts
    assert (facts.channels, facts.clipped, facts.format) == (2, 1.0, "WAV")


@pytest.mark.parametrize(
    ("start", "end", "sentence"),
    [
        (3, 2, "The clip's start (3 s) is not before its end (2 s)."),
        (2, 2, "The clip's start (2 s) is not before its end (2 s)."),
        (-0.5, 2, "The clip's start (-0.5 s) is before the beginning of the audio."),
        (0, -1, "The clip's end (-1 s) is before the beginning of the audio."),
        (0, 5, "The audio ends at 4.00 s, before the clip's end at 5 s."),
        (0, 4.02, "The audio ends at 4.00 s, before the clip's end at 4.02 s."),
        (4, 5, "The audio ends at 4.00 s, before the clip's start at 4 s."),
        (100, None, "The audio ends at 4.00 s, before the clip's start at 100 s."),
        (float("nan"), 2, "The clip's start must be a number of seconds, not nan."),
        (0, float("inf"), "The clip's end must be a number of seconds, not inf."),
        ("1", 2, "The clip's start must be a number of seconds, not '1'."),
        (True, 2, "The clip's start must be a number of seconds, not True."),
        pytest.param(
            10**400, None, f"The clip's start must be a number of seconds, not {'1' + '0' * 39}.", id="immense"
        ),
    ],
)
@pytest.mark.parametrize("cutting", [cut, lambda source, start, end: best_segment(source, start=start, end=end)])
def test_a_segment_that_is_not_inside_the_recording_is_refused_with_its_reason(cutting, start, end, sentence):
    with pytest.raises(MediaError) as caught:
        cutting(wav(SOUND), start, end)
    assert str(caught.value) == sentence
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [(None, None, 4.0), (1, None, 3.0), (None, 1, 1.0), (0, 4.01, 4.0), (3, 4.005, 1.0), (3.99999, 4, 1 / RATE)],
)
def test_open_ends_and_rounded_ends_are_those_of_the_recording(start, end, seconds):
    assert cut(wav(SOUND), start, end).seconds == seconds


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (
            wav(SOUND)[: 44 + 4 * RATE],
            TRUNCATED,
        ),
        (
            wav(SOUND, data_length=0, riff_length=0),
            NEVER_CLOSED,
        ),
        (wav(SOUND)[:44], "The audio has no samples that can be read."),
        (
            with_flac_length(encoded(SOUND[: 2 * RATE]), 4 * RATE),
            TRUNCATED,
        ),
        (with_flac_length(encoded(SOUND[: 2 * RATE]), 0), "The audio ends at 2.00 s, before the clip's end at 3 s."),
        (
            wav(np.r_[np.zeros(2 * RATE), np.nan, np.zeros(2 * RATE)].astype(np.float32), tag=FLOAT),
            NOT_FINITE,
        ),
        (
            wav(np.zeros(700_000 * 3, np.int16), rate=700_000),
            FLAC_RATES.format(700000),
        ),
        (
            wav(np.zeros(70_001 * 3, np.int16), rate=70_001),
            FLAC_RATES.format(70001),
        ),
    ],
    ids=[
        "truncated",
        "never closed",
        "only a header",
        "FLAC with a wrong length",
        "FLAC of unknown length",
        "NaN",
        "rate",
        "odd rate",
    ],
)  # fmt: skip
def test_a_recording_that_cannot_be_cut_is_refused_with_its_reason(data, sentence):
    with pytest.raises(MediaError) as caught:
        cut(data, 1, 3)
    assert str(caught.value) == sentence
    assert not caught.value.retryable


def test_a_segment_before_the_end_of_a_truncated_recording_can_be_cut():
    assert cut(wav(SOUND)[: 44 + 4 * RATE], 0.5, 1.5).digest == cut(wav(SOUND), 0.5, 1.5).digest


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (wav(SOUND)[: 44 + 4 * RATE], "ends at 2.00 s (damaged or incomplete: its header states 4.00 s), before"),
        (with_flac_length(encoded(SOUND[: 2 * RATE]), 4 * RATE), "ends at 2.00 s (damaged or incomplete"),
        (
            wav(SOUND, data_length=2 * RATE),
            "continues after the 1.00 s that its header states: its recording was interrupted",
        ),
        (with_flac_length(encoded(speechlike(20)), 2 * RATE), "continues after the 2.00 s that its header states"),
        (mp3(speechlike(20))[:40_000], "(damaged or incomplete: its header states 20."),
    ],
    ids=["WAV", "FLAC that states more", "never closed", "FLAC that states less", "MP3"],
)
@pytest.mark.parametrize("start", [None, 0.5])
def test_a_recording_with_a_wrong_length_cannot_be_cut_to_an_open_end(data, end, start):
    """The end of the file is not the end of the recording."""
    with pytest.raises(MediaError) as caught:
        cut(data, start)
    assert end in str(caught.value)
    assert cut(data, 0.25, 0.75).seconds == 0.5


@pytest.mark.parametrize("kind", ["FLAC", "MP3"])
def test_the_reported_end_of_a_truncated_recording_does_not_depend_on_the_segment(kind):
    data = encoded(BURSTS, kind=kind)
    data = data[: len(data) // 2]
    end = f"The audio ends at {measure(data).seconds:.2f} s"
    for start, stop in [(0, 30), (13.5, 27), (20, 29), (28, None)]:
        with pytest.raises(MediaError) as caught:
            cut(data, start, stop)
        assert str(caught.value).startswith(end)


@pytest.mark.parametrize("data", [with_flac_length(encoded(SOUND), 0), encoded(SOUND)], ids=["streamed", "whole"])
def test_flac_without_a_stated_length_is_cut_like_any_other(data):
    assert cut(data, 1, 3).digest == cut(wav(SOUND), 1, 3).digest
    assert cut(data, 1).seconds == 3.0


@pytest.mark.parametrize(
    "data", [with_flac_length(encoded(SOUND), 0), without_mp3_length(mp3(SOUND))], ids=["FLAC", "MP3"]
)
def test_a_start_after_the_end_is_reported_even_without_a_stated_length(data):
    with pytest.raises(MediaError) as caught:
        cut(data, 10, 12)
    assert re.fullmatch(r"The audio ends at 4\.\d\d s, before the clip's start at 10 s\.", str(caught.value))


@pytest.mark.parametrize("data", [mp3(BURSTS), without_mp3_length(mp3(BURSTS))], ids=["with length", "without"])
def test_a_segment_of_an_mp3_has_the_samples_of_the_whole_decoded_mp3(data):
    """A decoder that begins in the middle returns noise first, which must not be in the clip."""
    whole = decoded(cut(data, longest=60).audio).astype(int)
    for start in np.arange(1.0, 28.0, 0.1):
        samples = decoded(cut(data, start, start + 1).audio).astype(int)
        first = round(start * RATE)
        assert np.abs(samples - whole[first : first + RATE]).max() <= 1, start


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_audio_above_the_maximum_length_is_refused(kind):
    silence = encoded(np.zeros(31 * 8000, np.int16), rate=8000, kind=kind)
    with pytest.raises(
        MediaError, match=r"clip is too long: it has 31\.00 s or more, and the limit is 30 s\. Set start and"
    ):
        cut(silence)
    with pytest.raises(
        MediaError, match=r"waveform is too long: it has 31\.00 s or more, and the limit is 30 s\. Pass a"
    ):
        as_clip(np.zeros(31 * 8000), 8000)
    with pytest.raises(MediaError, match=r"the limit is 30 s"):
        cut_segments(silence, [(0, 16), (16, 31)])
    with pytest.raises(MediaError, match=r"the limit is 30 s"):
        cut(with_flac_length(encoded(np.zeros(31 * 8000, np.int16), rate=8000), 0))
    assert cut(silence, longest=60).seconds == 31.0
    assert cut(silence, 0.5, 30.5).seconds == 30.0


def test_rounding_does_not_make_a_clip_too_long():
    """Times in lists are rounded to hundredths of a second, so that a segment may become longer than 30 s."""
    data = encoded(np.zeros(31 * 8000, np.int16), rate=8000)
    assert cut(data, 0, 30.01).seconds == 30.01
    assert cut_segments(data, [(0, 15.01), (15.01, 30.02)]).seconds == 30.02
    with pytest.raises(MediaError, match=r"it has 30\.02 s or more, and the limit is 30 s\."):
        cut(data, 0, 30.02)


def test_segments_are_joined_in_the_given_order():
    clip = cut_segments(wav(SOUND), [(2, 3), (0, 0.5)])
    assert np.array_equal(decoded(clip.audio), np.r_[SOUND[2 * RATE : 3 * RATE], SOUND[: RATE // 2]])


def test_a_clip_without_segments_is_refused():
    with pytest.raises(MediaError, match="no segments"):
        cut_segments(wav(SOUND), [])


def test_seconds_may_be_numpy_numbers():
    assert cut(wav(SOUND), np.float32(1), np.int64(3)).digest == cut(wav(SOUND), 1, 3).digest


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_the_best_segment_is_where_there_is_speech(kind):
    quiet = np.random.default_rng(2).integers(-20, 20, size=20 * RATE, dtype=np.int16)
    # A bang is louder, but is not speech.
    quiet[RATE : RATE + 2000] = 30000
    data = encoded(np.r_[quiet, speechlike(10.0), quiet], kind=kind)
    start, end = best_segment(data, 10.0)
    assert (start, end) == pytest.approx((20.0, 30.0), abs=0.3)
    assert cut(data, start, end).seconds == 10.0


def test_the_best_segment_is_between_start_and_end():
    data = wav(np.r_[speechlike(10.0), np.zeros(10 * RATE, np.int16), speechlike(5.0)])
    start, end = best_segment(data, 5.0, start=9.5, end=25)
    assert (start, end) == pytest.approx((20.0, 25.0), abs=0.3)
    assert best_segment(data, 5.0, start=10.5, end=12) == (10.5, 12.0)


@pytest.mark.parametrize("source", [wav(SOUND), {"waveform": SOUND, "sample_rate": RATE}], ids=["file", "waveform"])
def test_the_best_segment_of_a_short_recording_is_all_of_it(source):
    assert best_segment(source) == (0.0, 4.0)


@settings(deadline=None, max_examples=100)
@example(63, 8000, 0.005, 0)
@given(
    st.one_of(st.integers(1, 500), st.integers(1, 20_000)),
    st.sampled_from([100, 8000, 11025, 44100]),
    st.floats(0.0001, 1.0),
    st.integers(0, 2**32 - 1),
)
def test_the_best_segment_is_inside_the_recording_and_has_the_requested_length(samples, rate, seconds, seed):
    data = wav(np.random.default_rng(seed).integers(-9000, 9000, size=samples, dtype=np.int16), rate=rate)
    start, end = best_segment(data, seconds)
    assert 0 <= start < end <= samples / rate
    assert cut(data, start, end).seconds == min(max(1, round(seconds * rate)), samples) / rate


def test_the_best_segment_of_the_conversation_can_be_cut(speech):
    path = speech.parent / "conversation" / "conversation.flac"
    clip = cut(path, *best_segment(path))
    assert clip.seconds == 30.0
    assert assess(clip.facts) == ()
    assert clip.facts.speech_seconds > 22


def test_an_error_while_a_file_is_read_is_reported():
    class Failing(io.BytesIO):
        def read(self, count=-1):
            if self.tell() > 1000:
                raise OSError(5, "Input/output error")
            return super().read(count)

    with pytest.raises(MediaError, match=r"The audio cannot be read \(input/output error\)\."):
        cut(Failing(wav(SOUND)), 1, 3)
