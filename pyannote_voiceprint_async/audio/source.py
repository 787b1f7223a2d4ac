"""Where audio comes from: a file, its bytes, or samples in memory. Whatever it is, it is read through one door."""

import io
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

from pyannote_voiceprint_async.errors import MediaError

__all__ = ["AudioSource", "CancelableFile", "Door", "opened_door"]

AudioSource: TypeAlias = "os.PathLike[str] | bytes | IO[bytes] | Mapping[str, Any]"
"""A path, the bytes of a file, an open binary file that can be rewound, or `{"waveform": …, "sample_rate": …}`."""

# The tag that ends many an MP3 file (ID3v1).
_LAST_TAG = 128


class CancelableFile:
    """An open file that raises OSError once nobody wants to read it any more: a thread cannot be cancelled."""

    def __init__(self, file: IO[bytes], is_over: Callable[[], bool]) -> None:
        self._file = file
        self._is_over = is_over
        self.seek = file.seek
        self.tell = file.tell

    def read(self, count: int) -> bytes:
        """Read up to so many bytes."""
        if self._is_over():
            raise OSError(0, "the run is over, or the call was canceled")
        return self._file.read(count)


class Door:
    """A file of bytes as libsndfile wants it: from where it stood, and in full reads.

    `readinto` is called from C, where an exception cannot pass; `check` raises what happened meanwhile.
    """

    def __init__(self, file: IO[bytes], begin: int | None = None, size: int | None = None) -> None:
        self._file: Any = file
        self._begin = file.tell() if begin is None else begin
        self.size = file.seek(0, os.SEEK_END) - self._begin if size is None else size
        self.furthest = 0
        """The place up to which it was read."""
        self._at = 0
        self._seeming_size = self.size
        self._error: MediaError | None = None

    def seem_longer(self) -> None:
        """Seem to be so long that whoever guesses an MP3's length from its size guesses too much, never too little.

        Where an MP3 tells no length, libsndfile takes a guess from the first frame's bit rate for its end. Between the
        highest rate (320 kbit/s) and the lowest (8) lies a factor of 40.
        """
        self._seeming_size = 40 * self.size + _LAST_TAG

    def part(self, begin: int, size: int | None = None) -> "Door":
        """Return a door to a part of the file.

        Args:
            begin: its first byte.
            size: bytes; None is up to the end.
        """
        return Door(self._file, self._begin + begin, self.size - begin if size is None else size)

    @property
    def seems_longer(self) -> bool:
        """Whether it does."""
        return self._seeming_size > self.size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, and give the new place."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._seeming_size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Give the place."""
        return self._at

    def read(self, count: int) -> bytes:
        """Give so many bytes, fewer only at the end.

        Raises:
            MediaError: the file cannot be read.
        """
        if self._at >= self._seeming_size - _LAST_TAG and self.seems_longer:
            # Looked at for a tag. A file that has no such place cannot be sought in, to libsndfile.
            count = max(0, min(count, self._seeming_size - self._at))
            self._at += count
            return bytes(count)
        count = max(0, min(count, self.size - self._at))
        pieces = []
        try:
            self._file.seek(self._begin + self._at)
            while count > 0 and (piece := self._file.read(count)):
                pieces.append(piece)
                count -= len(piece)
                self._at += len(piece)
            self.furthest = max(self.furthest, self._at)
            return b"".join(pieces)
        except MediaError:
            raise
        except Exception as exc:  # noqa: BLE001 - whatever a file of the caller's raises
            raise MediaError(f"The audio cannot be read ({_why(exc)}).") from None

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, and give how many bytes there were."""
        try:
            found = self.read(len(buffer))
        except MediaError as error:
            self._error = error
            return 0
        buffer[: len(found)] = found
        return len(found)

    def check(self) -> None:
        """Raise what reading could not.

        Raises:
            MediaError: the file cannot be read.
        """
        if self._error is not None:
            raise self._error

    def rewind(self) -> None:
        """Leave the file where it was found, so that the next one finds the same audio."""
        self._file.seek(self._begin)


@contextmanager
def opened_door(source: object) -> Iterator[Door]:
    """Open a file or its bytes. A file of the caller's stays open, and where it was.

    Raises:
        MediaError: it is missing, no regular file, empty, open as text, or cannot be rewound.
    """
    if isinstance(source, os.PathLike):
        with _opened(source) as file:
            yield _door(file)
    elif isinstance(source, bytes | bytearray | memoryview):
        yield _door(io.BytesIO(source))
    elif hasattr(source, "read"):
        door = _door(source)
        try:
            yield door
        finally:
            door.rewind()
    else:
        raise MediaError(
            f"The audio must be a pathlib.Path, bytes, an open binary file, or a mapping with 'waveform' and "
            f"'sample_rate', not {type(source).__name__}."
        )


def _opened(path: os.PathLike[str]) -> IO[bytes]:
    try:
        # Before it is opened: opening a named pipe would wait for somebody who writes.
        mode = Path(path).stat().st_mode
        if stat.S_ISREG(mode):
            return Path(path).open("rb")
    except (OSError, ValueError) as exc:
        raise MediaError(f"The audio file cannot be opened ({_why(exc)}): {os.fspath(path)}") from None
    kind = "is a directory" if stat.S_ISDIR(mode) else "it is no regular file"
    raise MediaError(f"The audio file cannot be opened ({kind}): {os.fspath(path)}")


def _door(file: Any) -> Door:
    if isinstance(file, io.TextIOBase):
        raise MediaError("The file is open as text. Open it in binary mode: open(path, 'rb').")
    try:
        door = Door(file)
    except (OSError, ValueError, AttributeError) as exc:
        raise MediaError(f"The audio cannot be rewound ({_why(exc)}). Give a path, or its bytes.") from None
    if door.size <= 0:
        raise MediaError("The audio is empty: there is not one byte in it.")
    return door


def _why(exc: Exception) -> str:
    return (getattr(exc, "strerror", None) or str(exc) or type(exc).__name__).lower()
