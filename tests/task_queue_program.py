"""The programs of `examples/task_queue`, for tests that start and kill them."""

import runpy
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "examples" / "task_queue"


def main() -> None:
    """Run with: FILE [ARGUMENT…]."""
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(FOLDER))
    runpy.run_path(str(FOLDER / sys.argv[0]), run_name="__main__")


if __name__ == "__main__":
    main()
