"""Sound files in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

from dtmf.errors import DtmfError

__all__ = ["SOUNDS", "sound_files"]

SOUNDS = tuple(
    f".{kind}"
    for kind in "aif aifc aiff au caf flac mp3 oga ogg opus rf64 snd w64 wav wave".split()  # noqa: SIM905
)


def sound_files(folder: str | os.PathLike[str]) -> Iterator[str]:
    """The paths of the sound files in a folder and its folders, by name; hidden ones are left out.

    Raises DtmfError for a folder that cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise DtmfError(f"cannot be read ({error.filename}: {error.strerror})") from error

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and name.lower().endswith(SOUNDS):
                yield os.path.join(place, name)
