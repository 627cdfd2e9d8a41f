"""Debian's libspandsp2 through ctypes: the receiver that most telephone systems in C have."""

from __future__ import annotations

import ctypes
import ctypes.util

import numpy as np
import numpy.typing as npt

__all__ = ["Spandsp", "SpandspMissingError"]

_BUFFER = 128  # MAX_DTMF_DIGITS: more in one go are lost
_CALLBACK = None  # digits are fetched


class SpandspMissingError(Exception):
    """libspandsp.so.2 is not there (Debian: apt install libspandsp2)."""


class Spandsp:
    """One receiver of 8 kHz int16, as the library sets it up (no dial-tone filter, twist 8/4 dB)."""

    def __init__(self) -> None:
        name = ctypes.util.find_library("spandsp") or "libspandsp.so.2"
        try:
            self._library = ctypes.CDLL(name)
        except OSError as error:
            raise SpandspMissingError(f"{error} (Debian: apt install libspandsp2)") from error
        self._library.dtmf_rx_init.restype = ctypes.c_void_p
        self._library.dtmf_rx_init.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        self._library.dtmf_rx.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
        self._library.dtmf_rx_get.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
        self._library.dtmf_rx_get.restype = ctypes.c_size_t
        self._library.dtmf_rx_free.argtypes = [ctypes.c_void_p]
        self._digits = ctypes.create_string_buffer(_BUFFER + 1)

    def digits(self, samples: npt.NDArray[np.int16], *, chunk: int = 1 << 16) -> str:
        """All digits in a sound (n,), fed to a fresh receiver ``chunk`` samples at a time."""
        return "".join(digit for digit, _ in self.located(samples, chunk=chunk))

    def located(self, samples: npt.NDArray[np.int16], *, chunk: int = 800) -> list[tuple[str, float]]:
        """The same with the second at which each was reported, to a chunk."""
        sound = np.ascontiguousarray(samples, np.int16)
        state = self._library.dtmf_rx_init(None, _CALLBACK, None)
        if not state:
            raise MemoryError("spandsp has no memory for a receiver")
        found = []
        address = sound.ctypes.data
        try:
            for first in range(0, len(sound), chunk):
                count = min(chunk, len(sound) - first)
                self._library.dtmf_rx(state, address + 2 * first, count)
                if self._library.dtmf_rx_get(state, self._digits, _BUFFER):
                    heard = self._digits.value.decode("ascii")
                    found += [(digit, (first + count) / 8000) for digit in heard]
        finally:
            self._library.dtmf_rx_free(state)
        return found
