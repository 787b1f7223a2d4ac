import math

import pytest

from pyannote_voiceprint_async.sandbox.limits import Limit


@pytest.mark.parametrize(("limit", "per"), [(0, 60.0), (-1, 60.0), (1, 0.0), (1, math.inf), (1, math.nan)])
def test_limit_and_length_must_be_positive(limit, per):
    with pytest.raises(ValueError, match="must be a positive number"):
        Limit(limit, per)
