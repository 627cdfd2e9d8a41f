"""Rendered sounds on disk, named by what they say.

A sound's name is a hash of language, voice and text, so that a folder may be shared by any number of
processes, kept for ever, or deleted at any time. A file is written under another name and then renamed:
a reader finds all of it or nothing. A digest in front tells a damaged file, which is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path

import structlog

from ivr_sim.media.g711 import PCMU, Samples

__all__ = ["SoundCache", "sound_key"]

log = structlog.get_logger(__name__)

FORMAT = 1
DIGEST = 32  # bytes of SHA-256 before the mu-law bytes
SUFFIX = ".sound"


def sound_key(language: str, voice: str, text: str) -> str:
    """The name of a text's sound: 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps([FORMAT, language, voice, text]).encode()).hexdigest()


class SoundCache:
    """A folder of sounds, bounded in size: the ones not heard for longest go first.

    folder is made when it is first needed. limit in bytes (a second is 8,000). A folder that cannot be
    written to or read from is no error: sounds are then rendered anew, and the log says so once.
    """

    def __init__(self, folder: Path, *, limit: int = 256_000_000) -> None:
        self._folder = folder
        self._limit = limit
        self._unchecked = limit  # bytes written since the folder was last measured; at first, unknown
        self._warned = False

    def get(self, key: str) -> Samples | None:
        """A sound, or None if it is not here whole."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn(error)
            return None
        body = data[DIGEST:]
        if not body or hashlib.sha256(body).digest() != data[:DIGEST]:
            log.warning("a rendered prompt is damaged and will be rendered anew", path=str(path))
            return None
        with suppress(OSError):
            os.utime(path)  # heard just now
        return PCMU.decode(body)

    def put(self, key: str, sound: Samples) -> None:
        """Keep a sound: int16, 8 kHz; what is read back went through mu-law."""
        body = PCMU.encode(sound)
        path = self._path(key)
        draft = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}.draft")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                draft.write_bytes(hashlib.sha256(body).digest() + body)
                draft.replace(path)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
            self._unchecked += len(body)
            if self._unchecked > self._limit // 8:
                self._unchecked = 0
                self._prune()
        except OSError as error:
            self._warn(error)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / (key + SUFFIX)

    def _prune(self) -> None:
        """Delete what was not heard for longest until a quarter of the room is free."""
        files = []
        for path in self._folder.glob(f"??/*{SUFFIX}"):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue  # another process prunes too
            files.append((stat.st_mtime, stat.st_size, path))
        total = sum(size for _, size, _ in files)
        if total <= self._limit:
            return
        for _, size, path in sorted(files):
            path.unlink(missing_ok=True)
            total -= size
            if total <= self._limit * 3 // 4:
                break

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            log.warning("rendered prompts cannot be kept", folder=str(self._folder), error=str(error))
