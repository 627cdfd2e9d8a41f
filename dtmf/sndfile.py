"""What libsndfile reads, in pieces: FLAC, Ogg, MP3, AIFF, AU, and WAV of other codings than G.711 and PCM.

soundfile is loaded at the first such file: whoever has none does without it.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from dtmf.errors import DtmfError
from dtmf.riff import Samples, clean

if TYPE_CHECKING:
    import soundfile

__all__ = ["SndfileReader"]

# Codings that 16 bits hold whole.
_SHORT = (
    "PCM_S8",
    "PCM_U8",
    "PCM_16",
    "ULAW",
    "ALAW",
    "GSM610",
    "G72",
    "IMA_ADPCM",
    "MS_ADPCM",
    "NMS_",
    "ALAC_16",
)


class SndfileReader:
    """A seekable file, read by libsndfile from its start; rate in Hz.

    unknown_at: where 32 bits stand that shall read as -1, a length that is not known. Raises DtmfError for
    what libsndfile does not read.
    """

    def __init__(self, file: BinaryIO, unknown_at: int | None = None) -> None:
        try:
            import soundfile
        except (ImportError, OSError) as error:
            raise DtmfError(f"is of a format that needs the package soundfile ({error})") from error
        try:
            self._sound: soundfile.SoundFile = soundfile.SoundFile(_Guarded(file, unknown_at))
        except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError) as error:
            raise DtmfError(_reason(error)) from error
        self.rate: int = self._sound.samplerate
        self.channels: int = self._sound.channels
        self._type = "int16" if self._sound.subtype.startswith(_SHORT) else "float32"

    def read(self, frames: int) -> Samples:
        """The next samples (n, channels), n at most ``frames``, 0 at the end."""
        try:
            samples = self._sound.read(frames, dtype=self._type, always_2d=True)
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise DtmfError(_reason(error)) from error
        return samples if self._type == "int16" else clean(samples)

    def close(self) -> None:
        self._sound.close()


class _Guarded(io.RawIOBase):
    """A file that libsndfile may be given: exceptions in its callbacks would be printed, not raised."""

    def __init__(self, file: BinaryIO, unknown_at: int | None) -> None:
        self._file = file
        self._at, self._instead = (0, b"") if unknown_at is None else (unknown_at, b"\xff" * 4)
        file.seek(0)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        first = self._file.tell()
        data = self._file.read(len(view))
        view[: len(data)] = data
        begin, end = max(first, self._at), min(first + len(data), self._at + len(self._instead))
        if begin < end:
            view[begin - first : end - first] = self._instead[begin - self._at : end - self._at]
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._file.tell()
        elif whence == io.SEEK_END:
            offset += self._file.seek(0, io.SEEK_END)
        return self._file.seek(max(0, offset))  # damaged headers point before the beginning

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _reason(error: Exception) -> str:
    said = getattr(error, "error_string", None) or str(error) or type(error).__name__
    return f"cannot be read by libsndfile: {said.rstrip('.')}"
