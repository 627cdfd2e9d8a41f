"""Many lines of libspandsp, each fed a frame per tick: the least that a Python program pays for them."""

from __future__ import annotations

import ctypes
import time

import numpy as np
import numpy.typing as npt

from dtmf.spandsp import load

__all__ = ["tick_costs"]


def tick_costs(frames: npt.NDArray[np.int16]) -> tuple[list[float], int]:
    """Seconds of processor time for each tick of (ticks, lines, 160), and how many digits were heard.

    A tick is one call of ``dtmf_rx`` per line, and nothing else: digits are fetched outside of it.
    """
    library = load()
    lines = frames.shape[1]
    states = [library.dtmf_rx_init(None, None, None) for _ in range(lines)]
    digits, heard, spent = ctypes.create_string_buffer(129), 0, []
    hear = library.dtmf_rx
    for frame in frames:
        addresses = [frame.ctypes.data + 320 * line for line in range(lines)]
        start = time.thread_time()
        for state, address in zip(states, addresses, strict=True):
            hear(state, address, 160)
        spent.append(time.thread_time() - start)
    for state in states:
        heard += library.dtmf_rx_get(state, digits, 128)
        library.dtmf_rx_free(state)
    return spent, heard
