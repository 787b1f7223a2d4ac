"""A relay in front of PostgreSQL, with which a test cuts off one process while the others still reach the server."""

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

NAME = ".s.PGSQL.5432"


class PostgresRelay:
    """Forwards connections to the Unix socket of a server until `cut` is called, and again after `restore`.

    Args:
        dsn: the DSN of the server.
    """

    def __init__(self, dsn: str) -> None:
        parameters = conninfo_to_dict(dsn)
        self._server_path = str(Path(parameters["host"], NAME))
        # The paths of Unix sockets are short.
        self._folder = tempfile.TemporaryDirectory(prefix="relay-")
        parameters["host"] = self._folder.name
        self.dsn = f"postgresql:///?{'&'.join(make_conninfo(**parameters).split())}"
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def restore(self) -> None:
        """Accept connections."""
        self._server = await asyncio.start_unix_server(self._connect, Path(self._folder.name, NAME))

    async def cut(self) -> None:
        """Close all connections, and accept no more."""
        if self._server is not None:
            self._server.close()
            Path(self._folder.name, NAME).unlink(missing_ok=True)  # from Python 3.13 on, `close` removes it
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()
        self._folder.cleanup()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_unix_connection(self._server_path)
        self._writers |= {writer, their_writer}
        for source, target in ((reader, their_writer), (their_reader, writer)):
            task = asyncio.create_task(_forward(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def _forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()
