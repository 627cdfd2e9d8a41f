"""No image of a process's memory, with what was keyed in it, is left behind by a crash."""

from __future__ import annotations

import sys
from contextlib import suppress

__all__ = ["forbid_core_dumps"]


def forbid_core_dumps() -> None:
    """See that a crash of this process, or of one that it starts, leaves no image of its memory behind.

    Where there are no such limits (Windows), it does nothing.
    """
    with suppress(ImportError, OSError, ValueError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        # With 0, Linux still hands the image to a program if core_pattern names one; with 1, it makes none.
        soft = 1 if sys.platform == "linux" and hard != 0 else 0
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
