"""Measuring audio block by block: peak, loudness, clipping, and where somebody seems to speak.

**Speech** is estimated by energy alone: the mono mix is cut into frames of 20 ms, each with its level (RMS, in steps of
0.5 dB). A frame counts as speech where it lies above the highest of

* 30 dB below the recording's loud frames (the 95th percentile of levels): the range of a voice,
* 6 dB above its quiet frames (the 10th percentile): its background,
* -55 dBFS: nobody speaks that quietly.

So a steady tone or noise has no speech, and music has; it is an estimate for choosing and warning, not for refusing.

It imports numpy, so it is imported inside functions only.
"""

from pyannote_voiceprint_async.errors import MediaError

from .libraries import NDArray, np

__all__ = ["SILENCE_DBFS", "Meter"]

SILENCE_DBFS = -120.0
"""What is said of digital silence, whose level would be minus infinity."""

_FRAME_SECONDS = 0.02
# Samples. A header may tell a rate of gigahertz, and what a frame lacks is kept.
_LONGEST_FRAME = 32 * 1024
_STEPS_PER_DB, _MOST_STEPS = 2, 255
_VOICE_RANGE, _LOUD_SHARE = 30.0, 0.95
_ABOVE_BACKGROUND, _QUIET_SHARE = 6.0, 0.1
_QUIETEST_SPEECH = -55.0
# A frame this far above the threshold counts in full. Without an end, one bang would outweigh a sentence.
_FULL_SCORE = 20.0
# Floats go from -1 to 1. Resampling overshoots a little; twice as much is no overshoot, but another scale.
_LOUDEST = 2.0
# Below what the steps can tell; the logarithm of 0 has no value.
_LEAST_POWER = 1e-15
# The largest number of the coding; more precise ones reach 1 but for what nobody hears.
_FULL_SCALE = {"PCM_S8": 127 / 128, "PCM_U8": 127 / 128, "ULAW": 32124 / 2**15, "ALAW": 32256 / 2**15}
_FULL_SCALE_16 = (2**15 - 1) / 2**15


class Meter:
    """What the blocks fed to it amount to. It keeps 50 bytes for each second.

    Args:
        sample_rate: samples in a second.
        subtype: the coding, which says what full scale is.
    """

    def __init__(self, sample_rate: int, subtype: str) -> None:
        self.samples = 0
        self.skipped = 0
        """Samples of the recording that were passed over before what comes next: for telling places."""
        self.peak = 0.0
        self._rate = sample_rate
        self._full_scale = _FULL_SCALE.get(subtype, _FULL_SCALE_16)
        self._frame = min(max(1, round(sample_rate * _FRAME_SECONDS)), _LONGEST_FRAME)
        self._power = 0.0
        self._clipped = 0
        self._values = 0
        self._levels = bytearray()
        self._rest: NDArray[np.float64] = np.empty(0)

    def feed(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """Measure a block of shape (frames, channels), and give its mono mix.

        Raises:
            MediaError: it holds NaN or infinity, or floats of another scale.
        """
        size = np.abs(block)
        # NaN wins every comparison that max makes.
        peak = float(size.max(initial=0.0))
        if not np.isfinite(peak):
            place = (self.skipped + self.samples + int(np.argmax(~np.isfinite(block).all(axis=1)))) / self._rate
            raise MediaError(
                f"The audio has samples that are no numbers (NaN or infinite), the first at {place:.2f} s. "
                "Make it anew: something went wrong where it was computed."
            )
        if peak > _LOUDEST:
            raise MediaError(
                f"The audio's samples go up to {peak:.6g}, where floats must lie between -1 and 1. "
                "Divide them by their full scale, or give 16-bit integers."
            )
        self.peak = max(self.peak, peak)
        self._clipped += int(np.count_nonzero(size >= self._full_scale))
        self._values += block.size
        mono: NDArray[np.float64] = block.mean(axis=1) if block.shape[1] > 1 else block[:, 0]
        self.samples += len(mono)
        # No dot product: the threads that BLAS starts for it cost more than they give.
        power = np.square(mono)
        self._power += float(power.sum())
        self._add_levels(power)
        return mono

    @property
    def loudness_dbfs(self) -> float:
        """The RMS of the mono mix in dB below full scale."""
        power = self._power / self.samples if self.samples else 0.0
        return max(SILENCE_DBFS, float(10 * np.log10(power))) if power else SILENCE_DBFS

    @property
    def clipped(self) -> float:
        """The share of samples at full scale, over all channels."""
        return self._clipped / self._values if self._values else 0.0

    @property
    def speech_seconds(self) -> float:
        """Seconds of frames that count as speech."""
        levels = self._all_levels()
        return float(np.count_nonzero(levels > _threshold(levels))) * self._frame / self._rate if len(levels) else 0.0

    def best_window(self, seconds: float) -> tuple[int, int]:
        """Give the first sample of the part with most speech, and the one after its last.

        Each frame counts by how far it lies above the threshold, up to 20 dB; the first of equals wins.
        """
        wanted = max(1, round(seconds * self._rate))
        if wanted >= self.samples:
            return 0, self.samples
        levels = self._all_levels()
        frames = max(1, wanted // self._frame)
        if frames >= len(levels):
            # Less than a frame longer than what is wanted.
            return 0, wanted
        score = np.clip(levels - _threshold(levels), 0.0, _FULL_SCORE)
        sums = np.concatenate(([0.0], np.cumsum(score, dtype=np.float64)))
        # Halves of decibels add up exactly, so that equals are equal.
        first = min(int(np.argmax(sums[frames:] - sums[:-frames])) * self._frame, self.samples - wanted)
        return first, first + wanted

    def _add_levels(self, power: NDArray[np.float64]) -> None:
        together = np.concatenate((self._rest, power)) if len(self._rest) else power
        whole = len(together) // self._frame * self._frame
        self._rest = together[whole:].copy()
        means = together[:whole].reshape(-1, self._frame).mean(axis=1)
        steps = -10 * _STEPS_PER_DB * np.log10(np.maximum(means, _LEAST_POWER))
        self._levels += np.clip(np.rint(steps), 0, _MOST_STEPS).astype(np.uint8).tobytes()

    def _all_levels(self) -> NDArray[np.float32]:
        steps = np.frombuffer(bytes(self._levels), dtype=np.uint8)
        return np.divide(steps, np.float32(-_STEPS_PER_DB), dtype=np.float32)


def _threshold(levels: NDArray[np.float32]) -> float:
    quiet, loud = np.quantile(levels, (_QUIET_SHARE, _LOUD_SHARE), method="nearest")
    return max(_QUIETEST_SPEECH, float(quiet) + _ABOVE_BACKGROUND, float(loud) - _VOICE_RANGE)
