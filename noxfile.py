"""One session per task: `nox -s tests`, `lint`, `types`, `docs`, `build`, `bench`, `bench-full`, `torture`, `live`."""

import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "types", "tests", "docs", "build"]

ROOT, DIST = Path(__file__).parent, Path(__file__).parent / "dist"
PYTHONS = ["3.11", "3.12", "3.13"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests. Arguments after `--` are passed to pytest."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, language, which module may import which, and the settings of other tools."""
    session.install("-e", ".[dev]")
    session.run(".ci/lint", external=True)


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the package, and of the examples and the public API as users write it."""
    session.install("-e", ".[dev]")
    session.run("mypy")
    session.run("basedpyright")


@nox.session
def docs(session: nox.Session) -> None:
    """Run the code blocks of the documents, then build the pages in docs/_build. Every warning is an error."""
    session.install("-e", ".[docs,test]")
    session.run("pytest", "-m", "docs")
    session.run("sphinx-build", "-W", "--keep-going", "-n", "-b", "html", "docs", "docs/_build/html", *session.posargs)


@nox.session
def packages(session: nox.Session) -> None:
    """Build the packages in dist/, and check their metadata and descriptions."""
    session.install("build>=1.3", "twine>=6.1")
    shutil.rmtree(DIST, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(DIST))
    session.run("twine", "check", "--strict", *map(str, DIST.iterdir()))


@nox.session(python=PYTHONS, requires=["packages"])
def build(session: nox.Session) -> None:
    """Install the wheel in an empty environment of each supported Python, and run its first command."""
    (wheel,) = DIST.glob("*.whl")
    session.install(f"{wheel}[cli,audio]")
    folder = Path(session.create_tmp(), "first-command")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "examples", folder, ignore=shutil.ignore_patterns("*.ledger*"))
    with session.chdir(folder):  # outside of the repository, where Python would import the package from its folder
        session.run("pyannote-voiceprint", "--version")
        session.run("pyannote-voiceprint", "enroll", "--sandbox", "speakers.csv")


@nox.session
def bench(session: nox.Session) -> None:
    """Test the benchmarks, then measure in less than 30 minutes. Arguments after `--` are passed to the script."""
    session.install("-e", ".[bench]")
    session.run("pytest", "-m", "bench")
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session(name="bench-full")
def bench_full(session: nox.Session) -> None:
    """Run the full measurements, up to a million rows. They have no time limit."""
    session.install("-e", ".[bench]")
    session.run("python", "benchmarks/run.py", "--full", *session.posargs)


@nox.session
def torture(session: nox.Session) -> None:
    """Kill enrollment runs at hundreds of points, and audit the results. Arguments after `--` go to the script."""
    session.install("-e", ".[test]")
    session.run("python", "benchmarks/torture.py", *session.posargs)


@nox.session
def live(session: nox.Session) -> None:
    """Compare the real API with its documents. Needs a key in the environment; submits at most three jobs."""
    session.install("-e", ".[cli]")
    session.run("python", "benchmarks/live_check.py", *session.posargs)
