"""Pipes between a process and its own children: whole messages in order, and how a child is started.

    parent (ProcessProtocol)          child (Protocol on standard input and output)
     |-- framed(message) ------------------->|  Frames().feed(data)
     |<-- framed(message) -------------------|

A message is pickled, behind its length as four bytes big-endian. Only a process and its own child ever
share such a pipe, and both run the same code.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
from typing import Any

from twisted.internet.error import ProcessDone
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure

__all__ = ["CHILD_FDS", "Frames", "child_command", "framed", "how_it_ended", "on_standard_pipes"]

HEAD = struct.Struct("!I")
# Of spawnProcess: messages by standard input and output; what it logs goes where ours does.
CHILD_FDS: dict[int, Any] = {0: "w", 1: "r", 2: 2}


def framed(message: Any) -> bytes:
    """A message for the other side."""
    body = pickle.dumps(message)
    return HEAD.pack(len(body)) + body


class Frames:
    """Takes bytes, gives messages."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """The messages that are whole by now."""
        self._data += data
        found = []
        while len(self._data) >= HEAD.size:
            end = HEAD.size + HEAD.unpack_from(self._data)[0]
            if len(self._data) < end:
                break
            found.append(pickle.loads(self._data[HEAD.size : end]))
            del self._data[:end]
        return found


def child_command(module: str) -> list[str]:
    """Arguments for a Python process that runs ``main()`` of a module.

    Ctrl-C is its parent's business; it must not reach a child even while it starts.
    """
    program = (
        f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); from {module} import main; main()"
    )
    return [sys.executable, "-c", program]


def on_standard_pipes(protocol: Protocol) -> None:
    """Connect a child's end, kept clear of whatever a library may print."""
    replies = os.dup(1)
    os.dup2(2, 1)
    StandardIO(protocol, stdout=replies)  # type: ignore[call-arg]


def how_it_ended(reason: Failure) -> str:
    """In words, how a process came to its end: from ``processEnded``."""
    ended: Any = reason.value
    if isinstance(ended, ProcessDone):
        return "it came to its end"
    return f"signal {ended.signal}" if ended.signal else f"exit code {ended.exitCode}"
