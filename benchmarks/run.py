"""Run all measurements, one after the other, each in a fresh process: `nox -s bench`, `nox -s bench-full`.

The script prints their tables, and writes results.json, the figures, the tables of the README beside it, and the table
of the package's README. `git diff` then shows the differences between this machine and the one that they describe.
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

import alternatives
import harness
import summary

HERE = Path(__file__).parent
RESULTS, FIGURES, README = HERE / "results.json", HERE / "figures", HERE / "README.md"
PACKAGE_README = HERE.parent / "README.md"

MEASUREMENTS = (
    "end_to_end", "limit", "latency", "throughput", "ladder", "growth", "start", "testing", "identify", "faults",
    "shared",
)  # fmt: skip

TIME_LIMIT = 1800.0
"""Seconds for all quick measurements together. Full measurements have no limit."""


class NoResultError(Exception):
    """A measurement has no result."""


def script(name: str) -> Path:
    return HERE / f"bench_{name}.py"


def module(name: str) -> ModuleType:
    return importlib.import_module(script(name).stem)


# Measuring


def measure_one(name: str, *, full: bool, seconds: float | None) -> dict[str, Any]:
    """Run one measurement, and return its entry of results.json.

    Raises:
        NoResultError: the measurement failed, or did not end in time.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "results.json")
        command = [sys.executable, str(script(name)), "--json", str(found), "--figures", str(FIGURES)]
        with process_group([*command, *(["--full"] if full else [])]) as process:
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                raise NoResultError(f"did not end within the {TIME_LIMIT:.0f} s of all measurements") from None
        if code:
            raise NoResultError(f"ended with exit code {code}")
        results = json.loads(found.read_text("utf-8"))
    return {"full": full, "at": harness.now(), "seconds": round(time.monotonic() - began, 1), "results": results}


@contextlib.contextmanager
def process_group(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command, and at the end kill it with all processes that it started."""
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def measure_all(names: list[str], *, full: bool) -> list[str]:
    """Run the measurements, save each result at once, and return the names of those that failed."""
    deadline, failed = None if full else time.monotonic() + TIME_LIMIT, []
    for name in names:
        print(f"\n# {name}\n", flush=True)
        try:
            entry = measure_one(name, full=full, seconds=deadline and max(0.0, deadline - time.monotonic()))
        except NoResultError as exc:
            print(f"{name}: {exc}", file=sys.stderr, flush=True)
            failed.append(name)
        else:
            print(f"{name} took {entry['seconds']:.0f} s", flush=True)
            save_result(name, entry)
    return failed


# Results


def load_results() -> dict[str, Any]:
    """Return the content of results.json."""
    if not RESULTS.exists():
        return {}
    found: dict[str, Any] = json.loads(RESULTS.read_text("utf-8"))
    return found


def save_result(name: str, entry: dict[str, Any]) -> None:
    """Save a result in results.json. Results of another machine or of other versions are dropped."""
    about = {"machine": harness.machine(), "versions": harness.versions()}
    before = load_results()
    others = before.get("measurements", {}) if about.items() <= before.items() else {}
    entries = others | {name: entry}
    about["measurements"] = {one: entries[one] for one in MEASUREMENTS if one in entries}
    RESULTS.write_text(f"{json.dumps(about, indent=1)}\n", "utf-8")


def printed_tables(name: str, entry: dict[str, Any]) -> str:
    """Return what a measurement prints about its results."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        module(name).show(entry["results"])
    return printed.getvalue().strip()


def machine_table(results: dict[str, Any]) -> str:
    """Return the table of the machine and of the durations."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        facts = [(key, str(value)) for key, value in results["machine"].items()]
        facts += [("versions", ", ".join(f"{name} {number}" for name, number in results["versions"].items()))]
        for name, entry in results["measurements"].items():
            kind = "full" if entry["full"] else "quick"
            facts += [(name, f"{kind}, {entry['seconds']:.0f} s, {entry['at']}")]
        harness.table(("", ""), facts, words=2)
    return printed.getvalue().strip()


def summary_table(results: dict[str, Any]) -> str:
    """Return the table of what matters to a user."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        summary.show(results["measurements"])
    return printed.getvalue().strip()


def readme_sections(results: dict[str, Any]) -> dict[str, str]:
    """Return the generated sections of the README, by the names in their marks."""
    tables = {name: printed_tables(name, entry) for name, entry in results["measurements"].items()}
    return {"summary": summary_table(results), "machine": machine_table(results)} | tables


def alternatives_table(results: dict[str, Any]) -> str:
    """Return the table of the package's README."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        harness.table(alternatives.HEADINGS, list(alternatives.rows(results["measurements"])), words=4)
    return printed.getvalue().strip()


def section_pattern(name: str) -> re.Pattern[str]:
    """Return the pattern of a generated section of a README."""
    return re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end of {name} -->)", re.DOTALL)


def write_readmes(results: dict[str, Any]) -> None:
    """Write the generated sections into both README files."""
    write_sections(README, readme_sections(results))
    if set(alternatives.MEASUREMENTS) <= set(results["measurements"]):
        write_sections(PACKAGE_README, {"alternatives": alternatives_table(results)})


def write_sections(path: Path, sections: dict[str, str]) -> None:
    """Replace sections of a document."""
    text = path.read_text("utf-8")
    for name, part in sections.items():
        text = section_pattern(name).sub(lambda _, part=part: f"\n{part}\n\n", text)
    path.write_text(text, "utf-8")


def redraw(results: dict[str, Any]) -> None:
    """Print the tables and draw the figures of results.json."""
    FIGURES.mkdir(exist_ok=True)
    for name, entry in results.get("measurements", {}).items():
        print(f"\n# {name}\n\n{printed_tables(name, entry)}")
        module(name).draw(entry["results"], FIGURES)


def main() -> None:
    """Run the command line; exit with 1 if a measurement has no result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"{', '.join(MEASUREMENTS)}; all by default")
    parser.add_argument("--full", action="store_true", help="no time limit; up to 1,000,000 rows")
    parser.add_argument("--redraw", action="store_true", help="measure nothing; print and draw results.json again")
    options = parser.parse_args()
    names = options.names or list(MEASUREMENTS)
    if unknown := set(names) - set(MEASUREMENTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    if options.redraw:
        redraw(load_results())
        failed = []
    elif missing := [script(name).name for name in names if not script(name).exists()]:
        parser.error(f"there is no {', '.join(missing)}")
    else:
        failed = measure_all(names, full=options.full)
    if results := load_results():
        write_readmes(results)
    sys.exit(f"No result: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
