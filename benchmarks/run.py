"""All measurements, one after the other, each in a fresh process: `nox -s bench`, `nox -s bench-full`.

It prints their tables, and writes results.json, the figures, and the tables of the README, so that `git diff` shows in
what this machine differs from the one that the README tells of.
"""

import argparse
import contextlib
import importlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import harness

HERE = Path(__file__).parent
RESULTS, FIGURES, README = HERE / "results.json", HERE / "figures", HERE / "README.md"

MEASUREMENTS = ("throughput", "ladder", "limit", "end_to_end", "growth", "start", "faults")

BOUND = 600.0
"""Seconds that all of them may take together, unless the full ones are asked for."""


class NoResultError(Exception):
    """A measurement came to no result."""


def script(name: str) -> Path:
    return HERE / f"bench_{name}.py"


def module(name: str) -> ModuleType:
    return importlib.import_module(script(name).stem)


# Measuring


def measured(name: str, *, full: bool, seconds: float | None) -> dict[str, Any]:
    """Run one measurement, and give what results.json says of it.

    Raises:
        NoResultError: it came to no result in this time.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "results.json")
        command = [sys.executable, str(script(name)), "--json", str(found), "--figures", str(FIGURES)]
        with group([*command, *(["--full"] if full else [])]) as process:
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                raise NoResultError(f"did not end within the {BOUND:.0f} s that all have together") from None
        if code:
            raise NoResultError(f"ended with exit code {code}")
        results = json.loads(found.read_text("utf-8"))
    return {"full": full, "at": harness.now(), "seconds": round(time.monotonic() - began, 1), "results": results}


@contextlib.contextmanager
def group(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command, and leave nothing of it behind: servers and pools of its own end with it."""
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def measure_all(names: list[str], *, full: bool) -> list[str]:
    """Measure, write down each result as it comes, and give the names of those that failed."""
    until, failed = None if full else time.monotonic() + BOUND, []
    for name in names:
        print(f"\n# {name}\n", flush=True)
        try:
            entry = measured(name, full=full, seconds=until and max(0.0, until - time.monotonic()))
        except NoResultError as exc:
            print(f"{name}: {exc}", file=sys.stderr, flush=True)
            failed.append(name)
        else:
            print(f"{name} took {entry['seconds']:.0f} s", flush=True)
            keep(name, entry)
    return failed


# What is kept of it


def kept() -> dict[str, Any]:
    """Give what results.json holds."""
    if not RESULTS.exists():
        return {}
    found: dict[str, Any] = json.loads(RESULTS.read_text("utf-8"))
    return found


def keep(name: str, entry: dict[str, Any]) -> None:
    """Put a result into results.json, beside those from the same machine with the same versions."""
    about = {"machine": harness.machine(), "versions": harness.versions()}
    before = kept()
    others = before.get("measurements", {}) if about.items() <= before.items() else {}
    entries = others | {name: entry}
    about["measurements"] = {one: entries[one] for one in MEASUREMENTS if one in entries}
    RESULTS.write_text(f"{json.dumps(about, indent=1)}\n", "utf-8")


def shown(name: str, entry: dict[str, Any]) -> str:
    """Give what a measurement prints of its results."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        module(name).show(entry["results"])
    return printed.getvalue().strip()


def described(results: dict[str, Any]) -> str:
    """Give the table of the machine and of the time that all took."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        facts = [(key, str(value)) for key, value in results["machine"].items()]
        facts += [("versions", ", ".join(f"{name} {number}" for name, number in results["versions"].items()))]
        for name, entry in results["measurements"].items():
            kind = "full" if entry["full"] else "quick"
            facts += [(name, f"{kind}, {entry['seconds']:.0f} s, {entry['at']}")]
        harness.table(("", ""), facts, words=2)
    return printed.getvalue().strip()


def parts(results: dict[str, Any]) -> dict[str, str]:
    """Give what stands between the marks of the README, by their names."""
    tables = {name: shown(name, entry) for name, entry in results["measurements"].items()}
    return {"machine": described(results)} | tables


def marked(name: str) -> re.Pattern[str]:
    """Find the part of the README that is made from results.json."""
    return re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end of {name} -->)", re.DOTALL)


def write_readme(results: dict[str, Any]) -> None:
    """Put the tables into the README."""
    text = README.read_text("utf-8")
    for name, part in parts(results).items():
        text = marked(name).sub(lambda _, part=part: f"\n{part}\n\n", text)
    README.write_text(text, "utf-8")


def redraw(results: dict[str, Any]) -> None:
    """Show and draw what results.json holds."""
    FIGURES.mkdir(exist_ok=True)
    for name, entry in results.get("measurements", {}).items():
        print(f"\n# {name}\n\n{shown(name, entry)}")
        module(name).draw(entry["results"], FIGURES)


def main() -> None:
    """Read the options, measure, report; exit with 1 when one came to no result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"{', '.join(MEASUREMENTS)}; all by default")
    parser.add_argument("--full", action="store_true", help="without a bound on the time; up to 1,000,000 rows")
    parser.add_argument("--redraw", action="store_true", help="measure nothing; show and draw results.json once more")
    options = parser.parse_args()
    names = options.names or list(MEASUREMENTS)
    if unknown := set(names) - set(MEASUREMENTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    if options.redraw:
        redraw(kept())
        failed = []
    elif missing := [script(name).name for name in names if not script(name).exists()]:
        parser.error(f"there is no {', '.join(missing)}")
    else:
        failed = measure_all(names, full=options.full)
    if results := kept():
        write_readme(results)
    sys.exit(f"No result: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
