"""numpy and soundfile, which come with the extra `[audio]`.

Who imports it needs them, so it is imported inside functions only, as are the files that stand on it.
"""

from pyannote_voiceprint_async.errors import ConfigurationError

try:
    import numpy as np
    import soundfile as sf
    from numpy.typing import NDArray
except (ImportError, OSError):  # soundfile raises OSError where it finds no libsndfile
    raise ConfigurationError(
        "Looking into audio needs soundfile, which is not installed here. "
        "Install the extra: pip install 'pyannote-voiceprint-async[audio]'"
    ) from None

__all__ = ["NDArray", "np", "sf"]
