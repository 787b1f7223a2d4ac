"""Every code block of the documents runs, and every path that CONTRIBUTING.md names exists."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sybil import Document
from sybil.parsers.markdown import CodeBlockParser

from pyannote_voiceprint_async.sandbox import Sandbox

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pyannote_voiceprint_async"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md", *ROOT.glob("docs/*.md")]

# Installations are skipped here: .ci/run runs those of the README. The command after an installation runs here.
INSTALLS = re.compile(r"python3 -m venv \.venv && \.venv/bin/pip install [^&]*(&& )?(\.venv/bin/)?")
RUNS_THIS_TEST = ("pytest",)


def blocks(language):
    """Return all blocks of a language; the id of each is its document and line."""
    return list(_blocks(language))


def _blocks(language):
    parser = CodeBlockParser(language=language, evaluator=lambda example: None)
    for path in filter(Path.exists, DOCUMENTS):
        for region in parser(Document(path.read_text("utf-8"), str(path))):
            line = path.read_text("utf-8")[: region.start].count("\n") + 1
            yield pytest.param(str(region.parsed), id=f"{path.relative_to(ROOT)}:{line}")


def run(command, environment, folder):
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture
async def environment(start):
    sandbox = await start(Sandbox(job_seconds=0.1))
    return {
        "PYANNOTEAI_BASE_URL": sandbox.url,
        "PYANNOTEAI_API_KEY": sandbox.api_key,
        "PYANNOTEAI_WEBHOOK_SECRET": "new,old",
    }


@pytest.fixture
def folder(tmp_path):
    """The working directory of the blocks: beside a copy of the examples, because ledgers are written beside lists."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("*.ledger*"))
    return tmp_path


def map_paths():
    """Return the paths in the map of CONTRIBUTING.md, which lists the files of a folder below its name."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    (drawn,) = re.findall(r"^```\n(cli/.*?)^```", text, re.DOTALL | re.MULTILINE)
    paths, folders = [], []
    for line in drawn.splitlines():
        indent = len(line) - len(line.lstrip())
        if indent < 10 and (folder := re.match(r"([a-z_]+/)", line.lstrip())):  # deeper lines continue a description
            folders = [*folders[: indent // 2], folder[1]]
        elif indent == 0:
            folders = []
        paths += [(tuple(folders), name) for name in re.findall(r"[a-z_/]+\.py|[a-z_]+/", line)]
    return paths


def named_paths():
    """Return the paths that CONTRIBUTING.md names in backticks, except placeholders."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    return sorted(set(re.findall(r"`((?:[a-z_.]+/)*[a-zA-Z_]+\.(?:py|yaml|toml|md)|(?:[a-z_.]+/)+)`", text)))


def test_the_map_names_existing_files():
    paths = map_paths()
    assert len(paths) > 60
    assert [(folders, name) for folders, name in paths if not exists_below(folders, name)] == []


def exists_below(folders, name):
    """Return whether a file exists in the innermost folder of its line in the map, or in one around it."""
    return any((PACKAGE.joinpath(*folders[:depth]) / name).exists() for depth in range(len(folders), -1, -1))


@pytest.mark.parametrize("path", named_paths())
def test_contributing_names_existing_paths(path):
    assert (ROOT / path).exists() or (PACKAGE / path).exists()


@pytest.mark.parametrize("code", blocks("python"))
async def test_python(code, environment, folder):
    done = await asyncio.to_thread(run, [sys.executable, "-W", "error", "-c", code], environment, folder)
    assert (done.returncode, done.stderr) == (0, "")


async def run_shell(code, environment, folder):
    command = INSTALLS.sub("", code).strip()
    if command in {"", *RUNS_THIS_TEST}:
        assert INSTALLS.match(code), "only installations may be skipped"
        return
    command = command.replace(".venv/bin/", "").replace("export PYANNOTEAI_API_KEY=…\n", "")
    done = await asyncio.to_thread(run, ["bash", "-euo", "pipefail", "-c", command], environment, folder)
    assert done.returncode == 0, f"{command}\n{done.stderr}"


@pytest.mark.parametrize("code", [block for block in blocks("sh") if not block.id.startswith("README.md")])
async def test_shell(code, environment, folder):
    await run_shell(code, environment, folder)


async def test_the_shell_blocks_of_the_readme_run_in_their_order_in_one_folder(environment, folder):
    """No block needs the files of a later one, or refuses to replace the files of an earlier one."""
    in_order = [block.values[0] for block in blocks("sh") if block.id.startswith("README.md")]
    assert len(in_order) > 1
    for code in in_order:
        await run_shell(code, environment, folder)
