"""The PostgreSQL server of the tests leaves nothing behind, however its process ends."""

import signal
import time
from pathlib import Path
from subprocess import PIPE

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from warm_process import WarmProcess


@pytest.mark.slow
@pytest.mark.parametrize("how", [None, signal.SIGTERM, signal.SIGKILL])
def test_the_server_ends_with_its_process(how):
    with WarmProcess("shared.postgres_program", stdin=PIPE) as process:
        dsn = process.stdout.readline().strip()
        folder = Path(conninfo_to_dict(dsn)["host"])
        assert (folder / "PG_VERSION").exists()
        with psycopg.connect(dsn) as db:
            if how is None:
                process.communicate()
            else:
                process.send_signal(how)
                process.wait()
            while folder.exists():  # pytest-timeout ends a failing test
                time.sleep(0.02)
            with pytest.raises(psycopg.OperationalError):
                db.execute("SELECT 1")
