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

__all__ = ["Restated", "SndfileReader"]

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
    """A seekable file, read by libsndfile; rate in Hz. Raises DtmfError for what it does not read."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            import soundfile
        except (ImportError, OSError) as error:
            raise DtmfError(f"is of a format that needs the package soundfile ({error})") from error
        file.seek(0)
        try:
            self._sound: soundfile.SoundFile = soundfile.SoundFile(file)
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


class Restated(io.RawIOBase):
    """A file in which some bytes read otherwise: a WAV of 0 bytes of sound becomes one of unknown length."""

    def __init__(self, file: BinaryIO, at: int, instead: bytes) -> None:
        self._file, self._at, self._instead = file, at, instead

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
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _reason(error: Exception) -> str:
    said = getattr(error, "error_string", None) or str(error) or type(error).__name__
    return f"cannot be read by libsndfile: {said.rstrip('.')}"
