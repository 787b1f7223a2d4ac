"""The errors that name an extra state how to install it."""

import re
import tomllib
from pathlib import Path

import pyannote_voiceprint_async
from pyannote_voiceprint_async.extras import install_command

PACKAGE = Path(pyannote_voiceprint_async.__file__).parent


def test_the_command_installs_the_published_package_or_a_clone():
    expected = "pip install 'pyannote-voiceprint-async[audio]' (in a clone: pip install '.[audio]')"
    assert install_command("audio") == expected


def test_every_extra_that_an_error_names_exists():
    """No error has a command of its own."""
    sources = {path: path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}
    named = {name for source in sources.values() for name in re.findall(r'install_command\("(\w+)"\)', source)}
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text("utf-8"))["project"]
    assert named == {"audio", "cli", "otel", "plot", "postgres"}
    assert named <= set(project["optional-dependencies"])
    assert [path.name for path, source in sources.items() if "pip install" in source] == ["extras.py"]
