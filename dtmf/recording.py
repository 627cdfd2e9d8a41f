"""Sound files, read in pieces: WAV by hand, all other formats by libsndfile.

What telephones and recorders write (PCM, float and G.711 in a WAV) is decoded here: that starts faster
than libsndfile loads, takes a pipe as well as a file, and does not stumble over lengths that are wrong.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from dtmf.errors import DtmfError
from dtmf.resample import checked_rate
from dtmf.riff import MOST_CHANNELS, Samples, WavLayout, read_layout

if TYPE_CHECKING:
    from dtmf.sndfile import SndfileReader

__all__ = ["Recording"]

_PIECE = 1 << 21  # samples: four minutes of a telephone line, 4 MB


class Recording:
    """A sound file, open; close it, or use it in a ``with``.

    source: a path, or a binary stream, which need not be seekable and is left open. ``rate`` in Hz;
    ``channels``. Reads WAV of 8 to 32 bits, float, mu-law and A-law behind any header that recorders leave,
    and all that libsndfile reads: other codings in WAV, FLAC, Ogg, MP3, AIFF, AU. Raises DtmfError for what
    it cannot read; the message goes on where the file's name ends.
    """

    def __init__(self, source: str | os.PathLike[str] | BinaryIO) -> None:
        with contextlib.ExitStack() as stack:
            if isinstance(source, str | os.PathLike):
                file = stack.enter_context(_opened(source))
            elif isinstance(source, io.BufferedReader):
                file = source
            else:
                file = io.BufferedReader(cast(io.RawIOBase, source))
                stack.callback(file.detach)
            self._reader = _reader(file, stack)
            self.rate = checked_rate(self._reader.rate)
            self.channels = self._reader.channels
            if not 1 <= self.channels <= MOST_CHANNELS:
                raise DtmfError(f"has {self.channels} channels; 1 to {MOST_CHANNELS} can be read")
            self._stack = stack.pop_all()

    def pieces(self) -> Iterator[Samples]:
        """The samples, (n, channels), in pieces of some megabytes: int16 where that loses nothing, else
        float32 in [-1, 1]. Raises DtmfError where the file is damaged.
        """
        frames = _PIECE // self.channels
        while len(piece := self._reader.read(frames)):
            yield piece

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _WavReader:
    """The samples that follow a WAV's header, up to the length it claims or the file's end."""

    def __init__(self, file: io.BufferedReader, layout: WavLayout) -> None:
        self._file, self._layout = file, layout
        self.rate, self.channels = layout.rate, layout.channels
        self._frame = layout.channels * layout.width
        self._left = layout.length

    def read(self, frames: int) -> Samples:
        """The next samples (n, channels), n at most ``frames``, 0 at the end."""
        count = frames * self._frame
        if self._left is not None:
            count = min(count, self._left)
        data = np.empty(count, np.uint8)
        try:
            got = self._file.readinto(data.data)
        except OSError as error:
            raise DtmfError(error.strerror or str(error)) from error
        if self._left is not None:
            self._left -= got
        return self._layout.samples(data[: got - got % self._frame])


def _reader(file: io.BufferedReader, stack: contextlib.ExitStack) -> _WavReader | SndfileReader:
    """Who reads this file; what must be closed after it goes onto the stack."""
    try:
        head = file.read(12)
        if not head:
            raise DtmfError("is empty")
        layout = read_layout(head, file)
        if layout is not None and layout.coding != "other":
            return _WavReader(file, layout)
        from dtmf.sndfile import SndfileReader

        whole = cast(BinaryIO, file)
        if not file.seekable():
            if layout is not None:
                raise DtmfError(
                    f"is a WAV of coding {layout.tag:#x}, which cannot be read from a pipe; save it first"
                )
            import shutil
            import tempfile

            whole = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            whole.write(head)
            shutil.copyfileobj(file, whole)
        whole.seek(0)
        start = whole.read(512)
    except OSError as error:
        raise DtmfError(error.strerror or str(error)) from error
    if start.startswith(b"version https://git-lfs"):
        raise DtmfError("is a Git LFS pointer, not the sound itself: run `git lfs pull`")
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise DtmfError("is a web page, no sound")
    unknown_at = layout.length_at if layout is not None and layout.length is None else None
    try:
        reader = SndfileReader(whole, unknown_at)
    except DtmfError as error:
        if not any(byte < 32 and byte not in b"\t\r\n\f" for byte in start):
            raise DtmfError("is text, no sound") from error
        raise
    stack.callback(reader.close)
    return reader


def _opened(path: str | os.PathLike[str]) -> io.BufferedReader:
    """A file, or a pipe that somebody writes to; opening it never waits. Raises DtmfError."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise DtmfError("is a directory")
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise DtmfError("is no file, but a device or a socket")
        if stat.S_ISREG(mode):
            return open(path, "rb")
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
        os.set_blocking(file.fileno(), True)
        return file
    except OSError as error:
        raise DtmfError(error.strerror or str(error)) from error
    except ValueError as error:  # a NUL in the name
        raise DtmfError(f"cannot be opened ({error})") from error
