"""What a process holds, and whether it grows."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["GROWTH", "Memory", "grown", "measure"]

GROWTH = 0.05  # from the end of the first round, which warms up, to the end of the last


class Memory(NamedTuple):
    """found, trimmed: bytes in memory, before and after the allocator gave back what it keeps free; blocks:
    of Python's own allocator."""

    found: int
    trimmed: int
    blocks: int


def measure() -> Memory:
    """What this process holds now, garbage aside."""
    gc.collect()
    found = _resident()
    ctypes.CDLL(None).malloc_trim(0)
    return Memory(found, _resident(), sys.getallocatedblocks())


def grown(what: str, sizes: Sequence[float], *, unit: float = 1, bar: float | None = None) -> list[str]:
    """Print what there was after each round; a complaint, if that grew by the bar's share or more."""
    if not sizes:
        return []
    share = (sizes[-1] - sizes[0]) / max(sizes[0], 1)
    name = what + {2**20: " (MB)", 1000: " (thousands)"}.get(unit, "")
    print(f"at rest, {name}: {', '.join(f'{size / unit:.4g}' for size in sizes)}; {100 * share:+.1f} %")
    return [f"memory grew: {name} by {100 * share:.1f} %"] if bar is not None and share >= bar else []


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
