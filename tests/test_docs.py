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

from pyannote_voiceprint_async.cli.app import app
from pyannote_voiceprint_async.sandbox import Sandbox

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pyannote_voiceprint_async"
PAGES = sorted(path for path in ROOT.glob("docs/**/*.md") if "_build" not in path.parts)
README = ROOT / "README.md"
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md", *PAGES]

# Installations are skipped here: .ci/run runs those of the README. The command after an installation runs here.
INSTALLS = re.compile(r"python3 -m venv \.venv && \.venv/bin/pip install [^&]*(&& )?(\.venv/bin/)?")
RUNS_THIS_TEST = ("pytest",)
# Left out, so that the commands after it use the sandbox of the test.
REAL_KEY = "unset PYANNOTEAI_BASE_URL\nexport PYANNOTEAI_API_KEY='your key'\n"
# A block with a test needs two plugins only.
PLUGINS = ("-p", "pytest_asyncio.plugin", "-p", "pyannote_voiceprint_async.testing")
RUNS_A_TEST = ("-m", "pytest", "-q", "-o", "asyncio_default_fixture_loop_scope=function", *PLUGINS, "test_page.py")


def python_blocks():
    """Return the Python blocks of all documents; the id of each is its document and line."""
    for path in DOCUMENTS:
        for line, code in _blocks(path, "python"):
            yield pytest.param(code, id=f"{path.relative_to(ROOT)}:{line}")


def _blocks(path, language):
    """Return the blocks of one language, each with its line."""
    text = path.read_text("utf-8")
    parser = CodeBlockParser(language=language, evaluator=lambda example: None)
    return [(text[: region.start].count("\n") + 1, str(region.parsed)) for region in parser(Document(text, str(path)))]


def shell_blocks(path):
    """Return the language and the code of the blocks for a shell, in their order."""
    languages = ("sh", "console") if path in {README, *PAGES} else ("sh",)
    found = [(line, language, code) for language in languages for line, code in _blocks(path, language)]
    return [(language, code) for _, language, code in sorted(found)]


def variables(environment):
    """Return the environment of a block. A block that runs pytest loads only the plugins that it names."""
    own = {**environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return {**os.environ, **own, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def shell(command):
    return ["bash", "-euo", "pipefail", "-c", command]


def run(command, environment, folder):
    return subprocess.run(
        command,
        cwd=folder,
        env=variables(environment),
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


@pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(ROOT))) for path in DOCUMENTS[:3]])
def test_the_links_of_a_document_lead_to_files(path):
    """Sphinx checks the links of the pages in docs/."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text("utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_changelog_has_each_section_of_a_version_once():
    """Merges join changelogs line by line, which can repeat the sections that one side has rewritten."""
    for version in re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)[1:]:
        sections = re.findall(r"^### (\w+)$", version, re.MULTILINE)
        assert sections == [name for name in ("Added", "Renamed", "Changed", "Fixed") if name in sections]


def test_every_command_has_a_place_in_the_reference():
    page = (ROOT / "docs" / "reference" / "command.md").read_text("utf-8")
    assert sorted(re.findall(r"^\.\. click:: .*:(\w+)$", page, re.MULTILINE)) == sorted(app.commands)


@pytest.mark.docs
@pytest.mark.parametrize("code", list(python_blocks()))
async def test_python(code, environment, folder):
    (folder / "test_page.py").write_text(code)
    command = RUNS_A_TEST if "def test_" in code else ["-W", "error", "-c", code]
    done = await asyncio.to_thread(run, [sys.executable, *command], environment, folder)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


async def run_shell(code, environment, folder):
    command = INSTALLS.sub("", code).strip()
    if command in {"", *RUNS_THIS_TEST}:
        assert INSTALLS.match(code), "only installations may be skipped"
        return
    command = command.replace(".venv/bin/", "").replace(REAL_KEY, "")
    done = await asyncio.to_thread(run, shell(command), environment, folder)
    assert done.returncode == 0, f"{command}\n{done.stderr}"


async def run_console(code, environment, folder):
    """Run each command of a block on a terminal, and compare what it shows. `…` stands for any text."""
    for block in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        command, _, expected = block.partition("\n")
        shown = await asyncio.to_thread(screen_of, command, environment, folder)
        pattern = ".*?".join(re.escape(text) for text in expected.strip().split("…"))
        assert re.fullmatch(pattern, shown.strip(), re.DOTALL), f"{command}\n{shown}"


def screen_of(command, environment, folder):
    """Return what a command writes on a terminal of 80 columns that cannot move its cursor."""
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal, os.fdopen(theirs, "wb", buffering=0) as stream:
        with subprocess.Popen(
            shell(command),
            cwd=folder,
            env=variables({**environment, "TERM": "dumb", "COLUMNS": "80"}),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        ) as process:
            stream.close()
            shown = b"".join(iter(lambda: read_terminal(terminal), b""))
        assert process.returncode == 0, shown.decode()
    return shown.decode().replace("\r\n", "\n")


def read_terminal(terminal):
    try:
        return terminal.read(65536)
    except OSError:  # Linux: all programs have closed the terminal
        return b""


RUNNERS = {"sh": run_shell, "console": run_console}


@pytest.mark.docs
@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [pytest.param(path, id=str(path.relative_to(ROOT))) for path in DOCUMENTS if shell_blocks(path)]
)
async def test_the_shell_blocks_of_a_document_run_in_their_order_in_one_folder(path, environment, folder):
    """No block needs the files of a later one, or refuses to replace the files of an earlier one."""
    for language, code in shell_blocks(path):
        await RUNNERS[language](code, environment, folder)
