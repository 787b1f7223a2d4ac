import inspect

import attrs
import pytest

from pyannote_voiceprint_async.sandbox import Sandbox, Settings


def test_an_unknown_keyword_is_a_type_error():
    with pytest.raises(TypeError, match="'rate_limits'"):
        Sandbox(rate_limits=(1, 1.0))


def test_the_signature_lists_every_setting():
    """`help(Sandbox)` shows the keywords, although only `Settings` defines them."""
    assert list(inspect.signature(Sandbox).parameters) == [field.name for field in attrs.fields(Settings)]
