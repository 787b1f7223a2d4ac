import inspect
import pydoc

import attrs
import pytest

from pyannote_voiceprint_async.sandbox import Sandbox, Settings


@pytest.mark.parametrize(
    ("arguments", "keywords", "problem"),
    [
        ((), {"rate_limits": (1, 1.0)}, "got an unexpected keyword argument 'rate_limits'"),
        (("127.0.0.1",), {}, "too many positional arguments"),
    ],
)
def test_a_wrong_argument_is_reported_with_the_name_of_the_class(arguments, keywords, problem):
    with pytest.raises(TypeError) as caught:
        Sandbox(*arguments, **keywords)
    assert str(caught.value) == f"Sandbox(): {problem}. All arguments are keywords; help(Sandbox) lists them."


def test_the_signature_lists_every_setting():
    """`help(Sandbox)` shows the keywords, although only `Settings` defines them."""
    assert list(inspect.signature(Sandbox).parameters) == [field.name for field in attrs.fields(Settings)]


def test_help_is_readable():
    """Each keyword has a line of its own without names of modules, and a description."""
    lines = pydoc.plain(pydoc.render_doc(Sandbox)).splitlines()
    text = "\n".join(line.removeprefix(" |  ").strip() for line in lines)
    assert "Sandbox(\n*,\nhost: str = '127.0.0.1',\nport: int = 0,\n" in text
    assert "\nrate_limit: Limit | tuple[int, float] = Limit(limit=100, per=60.0),\n" in text
    assert "\nstore: str | PathLike[str] | None = None,\n" in text
    # Python 3.13 leaves out the last comma.
    assert "\nsleep: Callable[[float], Awaitable[object]] = ...\n)" in text.replace("...,\n)", "...\n)")
    for field in attrs.fields(Settings):
        assert f"\n{field.name}: " in text.partition("Args:")[2]
    assert max(map(len, lines)) < 130
