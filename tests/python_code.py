"""Run Python code in a warm process, as `python -c` does: `WarmProcess("python_code", CODE, *arguments)`."""

import sys


def main() -> None:
    exec(sys.argv.pop(1), {"__name__": "__main__"})  # noqa: S102 - code of the tests
