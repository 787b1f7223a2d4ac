"""Run a function of a test module in Linux namespaces of its own, where it is root."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_PROGRAM = "import importlib, sys; getattr(importlib.import_module(sys.argv[1]), sys.argv[2])()"


def run_in_namespace(check: Callable[[], None], *kinds: str, folder: Path | None = None) -> None:
    """Call a function in a process with new namespaces, or skip the test where the system allows none.

    Args:
        check: a function of a module that is imported by its path below `tests`.
        kinds: the options of `unshare`, such as `--mount`.
        folder: the current directory of the function.
    """
    unshare = ["unshare", "--user", "--map-root-user", *kinds]
    if shutil.which("unshare") is None:
        pytest.skip("NOT TESTED: this system has no `unshare`")
    tried = subprocess.run([*unshare, "true"], check=False, capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"NOT TESTED: this system allows no user namespaces ({tried.stderr.strip()})")
    module = Path(sys.modules[check.__module__].__file__ or "").relative_to(Path(__file__).parent).with_suffix("")
    command = [*unshare, sys.executable, "-c", _PROGRAM, ".".join(module.parts), check.__name__]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, cwd=folder, check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
