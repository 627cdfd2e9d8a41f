"""From packages to sets in a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from material import packages
from material.catalogue import SETS, VOICES, Source
from material.packages import MaterialError, UnknownPackageError, sound_files
from material.sound import samples_of
from material.store import Piece, Store
from material.voices import MADE_FROM, read_out

__all__ = ["NAMES", "prepare"]

NAMES = (*SETS, "voices")


def prepare(store: Store, name: str, say: Callable[[str], None] = print) -> None:
    """Bring a set into ``store``, if it is not there yet, package by package; say how it goes.

    A package that this release does not have is named and left out. Raises MaterialError if it has none of
    a set's, or if one that it has cannot be fetched or read: half a set would pass for a whole one.
    """
    sources = SETS.get(name, ())
    made_from = "".join(f"{source.package} {source.pattern}\n" for source in sources) or MADE_FROM
    if store.is_ready(name, made_from):
        return
    say(f"{name}: being made")
    if not sources:
        pieces = list(read_out(VOICES))
    else:
        pieces = []
        for source in sources:
            try:
                pieces += _pieces_of(source)
            except UnknownPackageError as error:
                say(f"{name}: left out: {error}")
    if not pieces:
        raise MaterialError("none of its packages can be had")
    hours = store.write(name, pieces, made_from)
    say(f"{name}: {len(pieces)} pieces, {hours:.2f} h")


def _pieces_of(source: Source) -> Iterator[Piece]:
    with packages.downloaded(source.package) as deb:
        for path, content in sound_files(deb, source.pattern):
            samples = samples_of(path, content)
            if samples is not None:
                yield Piece(f"{source.package}/{path}", samples)
