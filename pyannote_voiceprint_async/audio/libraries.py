"""numpy and soundfile, which the extra `[audio]` installs.

Import this module, and the modules that import it, inside functions only: the package must work without the extra.
"""

from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.extras import install_command

try:
    import numpy as np
    import soundfile as sf
    from numpy.typing import NDArray
except (ImportError, OSError):  # soundfile raises OSError where libsndfile is missing
    raise ConfigurationError(
        "Reading audio needs numpy and soundfile, which are not installed. "
        "Install the extra: " + install_command("audio")
    ) from None

__all__ = ["NDArray", "np", "sf"]
