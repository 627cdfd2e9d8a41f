"""What is kept on disk: for each set and half one array of 8 kHz int16, and an index of what is where.

    CACHE/judge/prompts.npy     all pieces, a second of silence after each
    CACHE/judge/prompts.tsv     first sample, samples, name
    CACHE/prompts.ready         written last: both halves are whole; holds what the set was made from

A piece's half hangs on its name alone, so it stays where it is when packages change: what limits were
tuned on never becomes what they are judged by.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

__all__ = ["HALVES", "RATE", "Half", "Piece", "Store", "half_of"]

RATE = 8000
PAUSE = RATE
HALVES = ("tune", "judge")
Samples = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Piece:
    """One recording: where it was found, and its samples, 8 kHz int16 (n,)."""

    name: str
    samples: Samples


@dataclass(frozen=True)
class Half:
    """Half of a set as one sound (n,): its pieces with a pause after each, and where they lie in it."""

    sound: Samples
    firsts: list[int]
    lengths: list[int]
    names: list[str]

    @property
    def hours(self) -> float:
        """How long the pieces are together."""
        return sum(self.lengths) / RATE / 3600

    def at(self, second: float) -> tuple[str, float]:
        """The piece that sounds at a second of the whole, and the second of that piece."""
        piece = max(bisect.bisect_right(self.firsts, second * RATE) - 1, 0)
        return self.names[piece], second - self.firsts[piece] / RATE


def half_of(name: str) -> str:
    """``tune`` or ``judge``, by a hash of a piece's folder and stem.

    The suffix does not count: a prompt and its copy in another coding share a half.
    """
    path = PurePosixPath(name)
    digest = hashlib.sha256(f"{path.parent.name}/{path.stem}".encode()).digest()
    return HALVES[digest[0] & 1]


class Store:
    """A folder of prepared sets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def is_ready(self, name: str, made_from: str) -> bool:
        """Whether a set is whole, and was made from the same sources."""
        try:
            return (self.folder / f"{name}.ready").read_text(encoding="utf-8") == made_from
        except FileNotFoundError:
            return False

    def write(self, name: str, pieces: Iterable[Piece], made_from: str) -> float:
        """Keep a set, in place of what there was of it; returns its hours, pauses not counted."""
        ready = self.folder / f"{name}.ready"
        ready.unlink(missing_ok=True)
        halves: dict[str, list[Piece]] = {half: [] for half in HALVES}
        for piece in pieces:
            if len(piece.samples):
                halves[half_of(piece.name)].append(piece)
        for half, members in halves.items():
            self._write_half(half, name, members)
        ready.write_text(made_from, encoding="utf-8")
        return sum(len(piece.samples) for half in halves.values() for piece in half) / RATE / 3600

    def _write_half(self, half: str, name: str, pieces: list[Piece]) -> None:
        folder = self.folder / half
        folder.mkdir(parents=True, exist_ok=True)
        total = sum(len(piece.samples) + PAUSE for piece in pieces)
        sound = np.zeros(total, np.int16)
        lines, at = [], 0
        for piece in pieces:
            sound[at : at + len(piece.samples)] = piece.samples
            lines.append(f"{at}\t{len(piece.samples)}\t{piece.name}\n")
            at += len(piece.samples) + PAUSE
        # Beside it first: somebody may have the old one mapped.
        part = folder / f"{name}.part.npy"
        np.save(part, sound)
        part.replace(folder / f"{name}.npy")
        (folder / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")

    def read(self, half: str, name: str) -> Half:
        """A set's half; its sound is mapped from the file, not loaded. Raises OSError if it is not there."""
        index = (self.folder / half / f"{name}.tsv").read_text(encoding="utf-8")
        rows = [line.split("\t", 2) for line in index.splitlines()]
        return Half(
            sound=np.load(self.folder / half / f"{name}.npy", mmap_mode="r"),
            firsts=[int(row[0]) for row in rows],
            lengths=[int(row[1]) for row in rows],
            names=[row[2] for row in rows],
        )
