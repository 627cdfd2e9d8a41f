"""What is made once and kept in the data folder: small JSON files, private to their owner."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ivr_sim.errors import ConfigurationError

__all__ = ["kept", "write_private"]


def kept(path: Path, make: Callable[[], dict[str, str]]) -> dict[str, str]:
    """The object in a file; made first where there is none, by whoever comes first.

    Raises ConfigurationError when it cannot be written, or read as an object of texts.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            write_private(path, json.dumps(make(), indent=1) + "\n", over=False)
        read = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be used: {error.strerror}") from error
    except ValueError:
        read = None
    if not isinstance(read, dict) or not all(isinstance(value, str) for value in read.values()):
        raise ConfigurationError(f"{path} cannot be read; move it away, and it is made anew")
    return read


def write_private(path: Path, text: str, *, over: bool = True) -> None:
    """Write a file whole and for its owner only (mode 0600); unless ``over``, one that is there stays."""
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        if over:
            os.replace(part, path)
        else:
            with suppress(FileExistsError):
                os.link(part, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(part)
