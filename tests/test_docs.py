"""Every block of code in the documents is executed."""

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
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md", *ROOT.glob("docs/*.md")]

# These install something; .ci/run types the README's. What follows the installation is run here.
INSTALLS = re.compile(r"python3 -m venv \.venv && \.venv/bin/pip install [^&]*(&& )?(\.venv/bin/)?")
RUNS_THESE_TESTS = ("pytest",)


def blocks(language):
    """Give every block of a language, with the name of its document and its line."""
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
    """Where the blocks are typed: beside a copy of the examples, because ledgers are written beside their lists."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("*.ledger*"))
    return tmp_path


@pytest.mark.parametrize("code", blocks("python"))
async def test_python(code, environment, folder):
    done = await asyncio.to_thread(run, [sys.executable, "-W", "error", "-c", code], environment, folder)
    assert (done.returncode, done.stderr) == (0, "")


async def run_shell(code, environment, folder):
    command = INSTALLS.sub("", code).strip()
    if command in {"", *RUNS_THESE_TESTS}:
        assert INSTALLS.match(code), "only an installation may be left to .ci/run"
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
