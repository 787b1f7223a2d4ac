"""Sources of audio: a file, its contents, or samples in memory. Files and contents are read through `FileSlice`."""

import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from pyannote_voiceprint_async.errors import MediaError
from pyannote_voiceprint_async.local_files import BinaryFile, open_regular_file, reason_of

__all__ = ["AudioSource", "CancelableFile", "FileSlice", "open_slice", "reject_str"]

AudioSource: TypeAlias = "os.PathLike[str] | bytes | BinaryFile | Mapping[str, object]"
"""A path, the bytes of a file, an open binary file that can be rewound, or `{"waveform": …, "sample_rate": …}`."""

# Length of an ID3v1 tag. libsndfile looks for one at the end of an MP3 file.
_ID3V1_LENGTH = 128


class CancelableFile:
    """A file object whose `read` raises OSError after a cancellation, because a thread itself cannot be canceled.

    Args:
        file: the open file.
        is_canceled: called before each read; if it returns True, the read raises OSError.
    """

    def __init__(self, file: BinaryFile, is_canceled: Callable[[], bool]) -> None:
        self._file = file
        self._is_canceled = is_canceled
        self.seek = file.seek
        self.tell = file.tell

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes."""
        if self._is_canceled():
            raise OSError(0, "the run is over, or the call was canceled")
        return self._file.read(count)


class FileSlice:
    """A range of bytes of a file, with the methods that libsndfile calls. Offset 0 is the first byte of the range.

    libsndfile calls `readinto` from C, where no exception can propagate. `raise_read_error` raises it afterwards.

    Args:
        file: the file.
        start: the offset in the file at which the slice begins; None is the file's current position.
        size: bytes; None is up to the end of the file.
    """

    def __init__(self, file: BinaryFile, start: int | None = None, size: int | None = None) -> None:
        self._file: Any = file
        self._start = file.tell() if start is None else start
        self.size = file.seek(0, os.SEEK_END) - self._start if size is None else size
        self.furthest_read = 0
        """The offset after the last byte that was read so far."""
        self._position = 0
        self._reported_size = self.size
        self._error: MediaError | None = None

    def inflate_size(self) -> None:
        """Report an inflated size so that libsndfile never underestimates the length of an MP3.

        Where an MP3 states no length, libsndfile estimates it from the file size and the bit rate of the first frame.
        The highest bit rate (320 kbit/s) is 40 times the lowest (8 kbit/s).
        """
        self._reported_size = 40 * self.size + _ID3V1_LENGTH

    @property
    def is_inflated(self) -> bool:
        """Whether the reported size is larger than the real one."""
        return self._reported_size > self.size

    def subslice(self, start: int, size: int | None = None) -> "FileSlice":
        """Return a slice of this slice.

        Args:
            start: the offset of its first byte.
            size: bytes; None is up to the end.
        """
        return FileSlice(self._file, self._start + start, self.size - start if size is None else size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._reported_size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, count: int) -> bytes:
        """Return `count` bytes, fewer only at the end of the slice.

        Raises:
            MediaError: the file cannot be read.
        """
        if self.is_inflated and self._position >= self._reported_size - _ID3V1_LENGTH:
            # libsndfile looks for an ID3v1 tag here, and takes a file for unseekable if it reads less than a tag.
            count = max(0, min(count, self._reported_size - self._position))
            self._position += count
            return bytes(count)
        try:
            return self._read(max(0, min(count, self.size - self._position)))
        except MediaError:
            raise
        except Exception as exc:  # noqa: BLE001 - a file object of the caller may raise anything
            raise MediaError(f"The audio cannot be read ({reason_of(exc)}).") from None

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer and return the number of bytes read; 0 after an error, which is kept."""
        try:
            data = self.read(len(buffer))
        except MediaError as error:
            self._error = error
            return 0
        buffer[: len(data)] = data
        return len(data)

    def raise_read_error(self) -> None:
        """Raise the error that `readinto` kept.

        Raises:
            MediaError: the file cannot be read.
        """
        if self._error is not None:
            raise self._error

    def rewind(self) -> None:
        """Move the file back to the start of the slice, so that the next reader finds the same audio."""
        self._file.seek(self._start)

    def _read(self, count: int) -> bytes:
        chunks = []
        self._file.seek(self._start + self._position)
        while count > 0 and (chunk := self._file.read(count)):
            chunks.append(chunk)
            count -= len(chunk)
            self._position += len(chunk)
        self.furthest_read = max(self.furthest_read, self._position)
        return b"".join(chunks)


def reject_str(value: object, name: str, advice: str) -> None:
    """Reject a str, which could be meant as a path, a URL or contents.

    Args:
        value: the argument of a public function.
        name: the name of the argument, for the message.
        advice: what to pass instead, as a sentence.

    Raises:
        TypeError: `value` is a str.
    """
    if isinstance(value, str):
        raise TypeError(f"{name} must not be a str. {advice}")


@contextmanager
def open_slice(source: object) -> Iterator[FileSlice]:
    """Open a file or its contents. A file object of the caller stays open and is rewound to where it was.

    Raises:
        TypeError: `source` is a str.
        MediaError: the file is missing, not a regular file, empty, open in text mode, or cannot be rewound.
    """
    reject_str(source, "The audio", "Pass a file as pathlib.Path(...), and its contents as bytes.")
    if isinstance(source, os.PathLike):
        with open_regular_file(source) as file:
            yield _slice_of(file)
    elif isinstance(source, bytes | bytearray | memoryview):
        yield _slice_of(io.BytesIO(source))
    elif hasattr(source, "read"):
        audio = _slice_of(source)
        try:
            yield audio
        finally:
            audio.rewind()
    else:
        raise MediaError(
            f"The audio must be a pathlib.Path, bytes, an open binary file, or a mapping with 'waveform' and "
            f"'sample_rate', not {type(source).__name__}."
        )


def _slice_of(file: Any) -> FileSlice:
    if isinstance(file, io.TextIOBase):
        raise MediaError("The file is open in text mode. Open it in binary mode: open(path, 'rb').")
    try:
        audio = FileSlice(file)
    except (OSError, ValueError, AttributeError) as exc:
        raise MediaError(f"The audio cannot be rewound ({reason_of(exc)}). Pass a path, or the file's bytes.") from None
    if audio.size <= 0:
        raise MediaError("The audio is empty: it has no bytes.")
    return audio
