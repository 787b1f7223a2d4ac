"""One verb for each task: `nox -s tests`, `lint`, `types`, `bench`, `bench-full`, `torture`, `live`."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "types", "tests"]

PYTHONS = ["3.11", "3.12", "3.13"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests; what follows `--` goes to pytest."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, format, and which room may import which."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Type-check the package, and the public API as users write it."""
    session.install("-e", ".[dev]")
    session.run("mypy")
    session.run("basedpyright")


@nox.session
def bench(session: nox.Session) -> None:
    """Test the measurements, then measure in less than ten minutes; what follows `--` goes to the script."""
    session.install("-e", ".[bench]")
    session.run("pytest", "-m", "bench")
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session(name="bench-full")
def bench_full(session: nox.Session) -> None:
    """Measure all of it, up to a million rows, however long that takes."""
    session.install("-e", ".[bench]")
    session.run("python", "benchmarks/run.py", "--full", *session.posargs)


@nox.session
def torture(session: nox.Session) -> None:
    """Kill bulk enrollment at hundreds of points, and audit what it leaves; what follows `--` goes to the script."""
    session.install("-e", ".[test]")
    session.run("python", "benchmarks/torture.py", *session.posargs)


@nox.session
def live(session: nox.Session) -> None:
    """Ask the real API which of its documents is right. Needs a key in the environment; makes at most three jobs."""
    session.install("-e", ".[cli]")
    session.run("python", "benchmarks/live_check.py", *session.posargs)
