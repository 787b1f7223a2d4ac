"""Audio files for tests: valid ones, and ones with wrong headers."""

import io
import struct
from functools import cache, lru_cache

import numpy as np
import soundfile as sf

from pyannote_voiceprint_async.audio import check_audio

PCM, FLOAT = 1, 3
RATE = 16000


def speechlike(seconds=2.0, *, rate=RATE, loud=0.3):
    """int16 samples of a tone that is switched on and off four times per second, with a little noise."""
    return _speechlike(seconds, rate, loud).copy()


@cache
def _speechlike(seconds, rate, loud):
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(5).normal(size=len(time)) * 0.0005
    tone = np.sin(2 * np.pi * 220 * time) * (np.sin(2 * np.pi * 4 * time) > 0)
    return np.rint((tone * loud + noise) * 32767).astype(np.int16)


def wav(samples, *, rate=RATE, channels=1, tag=PCM, data_length=None, riff_length=None, tail=b""):
    """A WAV file with any codec and any stated lengths in its header."""
    payload = samples if isinstance(samples, bytes) else samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    width = 2 if isinstance(samples, bytes) else samples.dtype.itemsize
    data_length = len(payload) if data_length is None else data_length
    riff_length = 36 + len(payload) + len(tail) if riff_length is None else riff_length
    head = struct.pack("<4sI4s4sI", b"RIFF", riff_length, b"WAVE", b"fmt ", 16)
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * channels * width, channels * width, 8 * width)
    return head + form + struct.pack("<4sI", b"data", data_length) + payload + tail


def encoded(samples, *, rate=RATE, kind="FLAC", subtype=None):
    """A file in any format that libsndfile writes; samples of shape (frames,) or (frames, channels)."""
    return _written(samples, rate, format=kind, subtype=subtype)


def mp3(samples, *, rate=RATE):
    """An MP3 file with a variable bit rate and a stated length."""
    return _written(samples, rate, format="MP3", bitrate_mode="VARIABLE", compression_level=0.5)


def _written(samples, rate, **options):
    return _encode(samples.tobytes(), samples.dtype, samples.shape, rate, *options.items())


@lru_cache(100)
def _encode(data, dtype, shape, rate, *options):
    """Encode samples once: many modules need the same MP3 file."""
    file = io.BytesIO()
    sf.write(file, np.frombuffer(data, dtype).reshape(shape), rate, **dict(options))
    return file.getvalue()


def without_mp3_length(data):
    """The same MP3 file without its first frame, which states the length and holds no audio."""
    return data[data.index(data[:2], 2) :]


def with_flac_length(data, samples):
    """The same FLAC file with another stated number of samples; 0 means unknown."""
    packed = int.from_bytes(data[18:26], "big") >> 36 << 36 | samples
    return data[:18] + packed.to_bytes(8, "big") + data[26:]


def decoded(data, dtype="int16"):
    """The samples of a file, as soundfile reads them."""
    return sf.read(io.BytesIO(data), dtype=dtype)[0]


class CountingFile(io.BufferedIOBase):
    """A file that counts the bytes that are read from it."""

    def __init__(self, file):
        self._file = file
        self.bytes_read = 0

    def read(self, count=-1):
        found = self._file.read(count)
        self.bytes_read += len(found)
        return found

    def seek(self, offset, whence=0):
        return self._file.seek(offset, whence)

    def tell(self):
        return self._file.tell()


def id3(content=b"", *, footer=False):
    """An ID3v2.4 tag."""
    size = bytes(len(content) >> 7 * place & 0x7F for place in (3, 2, 1, 0))
    head = b"ID3\x04\0" + (b"\x10" if footer else b"\0") + size
    return head + content + (b"3DI" + head[3:] if footer else b"")


def ape(content=b""):
    """An APEv2 tag with header and footer."""
    size = struct.pack("<I", len(content) + 32)
    head, foot = (
        b"APETAGEX\xd0\x07\0\0" + size + bytes(4) + struct.pack("<I", flags) + bytes(8)
        for flags in (0xA0000000, 0x80000000)
    )
    return head + content + foot


def ogg(packets, *, stream=7):
    """An Ogg file with one page for each packet."""
    pages = []
    for number, packet in enumerate(packets):
        segments = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
        head = struct.pack("<4sBBqIIIB", b"OggS", 0, 2 if not number else 0, 0, stream, number, 0, len(segments))
        pages.append(head + segments + packet)
    return b"".join(pages)


def ogg_flac(samples, *, rate=RATE):
    """FLAC in Ogg, as ffmpeg writes it."""
    data = encoded(samples, rate=rate)
    first = b"\x7fFLAC\x01\0\0\x01" + data[:42]
    return ogg([first, *(data[at : at + 4000] for at in range(42, len(data), 4000))])


TAGS_AFTER_AUDIO = {
    "ID3v1": b"TAG" + bytes(125),
    "ID3v1 and its longer form": b"TAG+" + bytes(223) + b"TAG" + bytes(125),
    "APEv2": ape(b"\xff\xfb\x90\x64" * 300),
    "APEv2 and ID3v1": ape(bytes(300)) + b"TAG" + bytes(125),
    "Lyrics3": b"LYRICSBEGININD0000200EAR00003abc" + b"\xff\xfb" * 50 + b"000137LYRICS200TAG" + bytes(125),
    "ID3v2 with footer": id3(b"\xff\xfb\x90\x64" * 300, footer=True),
    "zeros": bytes(10_000),
    "something else": bytes(range(256)) * 40,
}


def finding_codes(source, **options):
    """The codes of the findings of a check."""
    return [finding.code for finding in check_audio(source, **options).findings]
