"""What this package raises on purpose."""

from __future__ import annotations

__all__ = ["DtmfError"]


class DtmfError(Exception):
    """An argument, a sound or a file that cannot be used; the message says what and why."""
