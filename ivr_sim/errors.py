"""The root of our exceptions, and the line between our faults and the peer's.

The split follows h11: a ``RemoteProtocolError`` is what the other side did wrong (answer it, drop it,
never fall over it); a ``LocalProtocolError`` is a call of ours that the protocol does not allow.
"""

from __future__ import annotations

import traceback

__all__ = ["ConfigurationError", "IvrSimError", "LocalProtocolError", "RemoteProtocolError", "place"]


class IvrSimError(Exception):
    """Anything that ivr-sim raises on purpose; the message says what happened, where, and what to try."""


class ConfigurationError(IvrSimError):
    """A setting, file or argument that cannot be used; commands end with exit code 2."""


class LocalProtocolError(IvrSimError):
    """Our side asked for something that the protocol does not allow in this state."""


class RemoteProtocolError(IvrSimError):
    """The other side sent something that cannot be accepted."""


def place(error: BaseException) -> str:
    """Where an error was raised, as files and lines only: its message or a variable may hold a digit."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames))
