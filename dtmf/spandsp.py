"""spandsp's receiver, where its library is installed: the C code that others are measured against.

Nothing in this package needs it. Its face here is `ctypes`, and samples are passed as they lie in memory,
so that a call costs a microsecond however long the sound is.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from dtmf.errors import DtmfError

__all__ = ["Spandsp", "load"]

# By its full name: the 3 of later releases takes other arguments.
_LIBRARY = "libspandsp.2.dylib" if sys.platform == "darwin" else "libspandsp.so.2"
_MOST_DIGITS = 128  # that spandsp keeps (MAX_DTMF_DIGITS); more are lost until they are fetched
_PIECE = 20 * 8000  # samples between two fetches: nobody presses more than 128 keys in 20 s


class Spandsp:
    """One line's receiver of libspandsp, with its defaults; with ``dial_tone``, its 350/440 Hz filter too.

    Raises DtmfError where the library is not installed.
    """

    def __init__(self, *, dial_tone: bool = False) -> None:
        self._library = load()
        self._state = self._library.dtmf_rx_init(None, None, None)
        if not self._state:
            raise DtmfError("libspandsp gave no receiver: out of memory")
        if dial_tone:
            # Twists below 0 and a threshold of -99 leave those as they are.
            self._library.dtmf_rx_parms(self._state, 1, -1, -1, -99)
        self._digits = ctypes.create_string_buffer(_MOST_DIGITS + 1)

    def feed(self, samples: npt.NDArray[np.int16]) -> str:
        """Take samples (n,), int16, contiguous, at 8 kHz; the digits heard by them.

        Raises DtmfError for other samples.
        """
        if samples.dtype != np.int16 or samples.ndim != 1 or not samples.flags.c_contiguous:
            raise DtmfError("spandsp takes int16 samples of shape (n,), one after the other")
        heard = []
        address = samples.ctypes.data
        for first in range(0, len(samples), _PIECE):
            self._library.dtmf_rx(self._state, address + 2 * first, min(_PIECE, len(samples) - first))
            count = self._library.dtmf_rx_get(self._state, self._digits, _MOST_DIGITS)
            heard.append(self._digits.raw[:count].decode("ascii"))
        return "".join(heard)

    def __del__(self) -> None:
        if getattr(self, "_state", None):
            self._library.dtmf_rx_free(self._state)


def load() -> Any:
    """libspandsp with the signatures of what is called here. Raises DtmfError where there is none."""
    try:
        library = ctypes.CDLL(_LIBRARY)
        library.dtmf_rx_init.restype = ctypes.c_void_p
        library.dtmf_rx_init.argtypes = [ctypes.c_void_p] * 3
        library.dtmf_rx_parms.restype = None
        library.dtmf_rx_parms.argtypes = [ctypes.c_void_p, *[ctypes.c_int] * 4]
        library.dtmf_rx.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
        library.dtmf_rx_get.restype = ctypes.c_size_t
        library.dtmf_rx_get.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
        library.dtmf_rx_free.argtypes = [ctypes.c_void_p]
    except (OSError, AttributeError) as error:
        raise DtmfError(f"libspandsp cannot be loaded ({error}); Debian: apt install libspandsp2") from error
    return library
