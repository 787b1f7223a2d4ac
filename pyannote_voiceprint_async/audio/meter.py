"""Measure audio block by block: peak, loudness, clipping and speech.

**Speech** is estimated by energy alone. The mono mix is divided into frames of 20 ms, and the level (RMS) of each frame
is kept in steps of 0.5 dB. A frame counts as speech if its level is above the highest of

* 30 dB below the loud frames (the 95th percentile of all levels): the dynamic range of a voice,
* 6 dB above the quiet frames (the 10th percentile): the background,
* -55 dBFS: speech is louder than that.

A steady tone or noise therefore has no speech, and music has some. The estimate is good enough to choose a segment and
to warn, not to refuse a recording.

It imports numpy, so import it inside functions only.
"""

from pyannote_voiceprint_async.errors import MediaError

from .libraries import NDArray, np

__all__ = ["SILENCE_DBFS", "Meter"]

SILENCE_DBFS = -120.0
"""The level that is reported for digital silence, instead of minus infinity."""

_FRAME_SECONDS = 0.02
# An incomplete frame is kept in memory, and a header may state a rate of gigahertz.
_LONGEST_FRAME_SAMPLES = 32 * 1024
_STEPS_PER_DB, _MOST_STEPS = 2, 255
_VOICE_RANGE_DB, _LOUD_QUANTILE = 30.0, 0.95
_ABOVE_BACKGROUND_DB, _QUIET_QUANTILE = 6.0, 0.1
_QUIETEST_SPEECH_DBFS = -55.0
# The score of a frame is limited, or one bang would outweigh a sentence.
_HIGHEST_SCORE_DB = 20.0
# Floats should be between -1 and 1. Resampling overshoots a little; a larger peak means another scale.
_HIGHEST_PEAK = 2.0
# Smaller than the smallest level that the steps can represent; it avoids the logarithm of 0.
_LEAST_POWER = 1e-15
# The largest sample value of each encoding. Encodings with more than 16 bits use that of 16 bits.
_FULL_SCALE = {"PCM_S8": 127 / 128, "PCM_U8": 127 / 128, "ULAW": 32124 / 2**15, "ALAW": 32256 / 2**15}
_FULL_SCALE_16 = (2**15 - 1) / 2**15


class Meter:
    """Running measurements of the blocks that it is fed. It keeps 50 bytes per second of audio.

    Args:
        sample_rate: samples per second.
        subtype: the encoding, which determines full scale.
    """

    def __init__(self, sample_rate: int, subtype: str) -> None:
        self.samples = 0
        """Samples of each channel that were measured."""
        self.skipped = 0
        """How many samples of the recording, before the next block, were not measured. Error messages need it to state
        positions in the recording."""
        self.peak = 0.0
        self._rate = sample_rate
        self._full_scale = _FULL_SCALE.get(subtype, _FULL_SCALE_16)
        self.frame = min(max(1, round(sample_rate * _FRAME_SECONDS)), _LONGEST_FRAME_SAMPLES)
        """Samples of a frame."""
        self._power = 0.0
        self._clipped = 0
        self._values = 0
        self._levels = bytearray()
        self._rest: NDArray[np.float64] = np.empty(0)

    def feed(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """Measure a block of shape (frames, channels) and return its mono mix.

        Raises:
            MediaError: the block has NaN, infinity, or floats of another scale.
        """
        size = np.abs(block)
        # `max` returns NaN if any sample is NaN.
        peak = float(size.max(initial=0.0))
        if not np.isfinite(peak):
            index = self.skipped + self.samples + int(np.argmax(~np.isfinite(block).all(axis=1)))
            raise MediaError(
                f"The audio has samples that are NaN or infinite, the first at {index / self._rate:.2f} s. "
                "The program that computed it has an error: create it again."
            )
        if peak > _HIGHEST_PEAK:
            raise MediaError(
                f"The audio has samples up to {peak:.6g}, but floats must be between -1 and 1. "
                "Divide them by their full scale, or use 16-bit integers."
            )
        self.peak = max(self.peak, peak)
        self._clipped += int(np.count_nonzero(size >= self._full_scale))
        self._values += block.size
        mono: NDArray[np.float64] = block.mean(axis=1) if block.shape[1] > 1 else block[:, 0]
        self.samples += len(mono)
        # A dot product would start threads of BLAS, which cost more than they save here.
        power = np.square(mono)
        self._power += float(power.sum())
        self._add_levels(power)
        return mono

    @property
    def loudness_dbfs(self) -> float:
        """RMS of the mono mix in dB relative to full scale."""
        power = self._power / self.samples if self.samples else 0.0
        return max(SILENCE_DBFS, float(10 * np.log10(power))) if power else SILENCE_DBFS

    @property
    def clipped(self) -> float:
        """Share of the samples at full scale, over all channels."""
        return self._clipped / self._values if self._values else 0.0

    @property
    def speech_seconds(self) -> float:
        """Length of all frames that count as speech."""
        return float(np.count_nonzero(self.speech)) * self.frame / self._rate

    @property
    def speech(self) -> NDArray[np.bool_]:
        """Whether each complete frame counts as speech."""
        levels = self._all_levels()
        return levels > _threshold(levels) if len(levels) else np.empty(0, dtype=np.bool_)

    def is_clipped(self, block: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether each sample is at full scale."""
        return np.abs(block) >= self._full_scale

    def best_window(self, seconds: float) -> tuple[int, int]:
        """Return start and end of the segment with most speech, in samples.

        The score of a frame is its level above the threshold, up to 20 dB. Of equal segments the first is returned.

        Args:
            seconds: length of the segment.
        """
        wanted = max(1, round(seconds * self._rate))
        if wanted >= self.samples:
            return 0, self.samples
        levels = self._all_levels()
        frames = max(1, wanted // self.frame)
        if frames >= len(levels):
            # The recording is less than a frame longer than the segment.
            return 0, wanted
        score = np.clip(levels - _threshold(levels), 0.0, _HIGHEST_SCORE_DB)
        sums = np.concatenate(([0.0], np.cumsum(score, dtype=np.float64)))
        # Levels are multiples of 0.5 dB, so that sums are exact and equal segments compare equal.
        first = min(int(np.argmax(sums[frames:] - sums[:-frames])) * self.frame, self.samples - wanted)
        return first, first + wanted

    def _add_levels(self, power: NDArray[np.float64]) -> None:
        pending = np.concatenate((self._rest, power)) if len(self._rest) else power
        whole = len(pending) // self.frame * self.frame
        self._rest = pending[whole:].copy()
        means = pending[:whole].reshape(-1, self.frame).mean(axis=1)
        steps = -10 * _STEPS_PER_DB * np.log10(np.maximum(means, _LEAST_POWER))
        self._levels += np.clip(np.rint(steps), 0, _MOST_STEPS).astype(np.uint8).tobytes()

    def _all_levels(self) -> NDArray[np.float32]:
        steps = np.frombuffer(bytes(self._levels), dtype=np.uint8)
        return np.divide(steps, np.float32(-_STEPS_PER_DB), dtype=np.float32)


def _threshold(levels: NDArray[np.float32]) -> float:
    quiet, loud = np.quantile(levels, (_QUIET_QUANTILE, _LOUD_QUANTILE), method="nearest")
    return max(_QUIETEST_SPEECH_DBFS, float(quiet) + _ABOVE_BACKGROUND_DB, float(loud) - _VOICE_RANGE_DB)
