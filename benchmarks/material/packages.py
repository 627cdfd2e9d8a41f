"""Sound files out of Debian packages, without installing them: nothing of the system changes.

A package is downloaded with apt-get, read through dpkg-deb, and deleted; neither needs root.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

__all__ = ["MaterialError", "UnknownPackageError", "downloaded", "members", "sound_files"]

_SOUND = {".wav", ".ogg", ".oga", ".opus", ".flac", ".mp3", ".gsm", ".raw"}
_ARCHIVES = {".pk3", ".zip"}
_DOWNLOAD_S = 900


class MaterialError(Exception):
    """Material that cannot be had; the message says which and why."""


class UnknownPackageError(MaterialError):
    """This release of the distribution has no such package."""


@contextmanager
def downloaded(package: str) -> Iterator[Path]:
    """The .deb of a package, for as long as the block lasts.

    Raises UnknownPackageError for one that apt does not know, MaterialError for all else that goes wrong.
    """
    with TemporaryDirectory(prefix="material-") as name:
        folder = Path(name)
        try:
            done = subprocess.run(
                ["apt-get", "download", "-q", package],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=_DOWNLOAD_S,
                check=False,
                env=os.environ | {"LC_ALL": "C"},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MaterialError(f"{package}: {error}") from error
        files = list(folder.glob("*.deb"))
        if done.returncode or not files:
            errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
            said = errors[0] if errors else "apt-get download brought nothing"
            error_type = UnknownPackageError if "Unable to locate package" in said else MaterialError
            raise error_type(f"{package}: {said}")
        yield files[0]


def sound_files(deb: Path, pattern: str = "") -> Iterator[tuple[str, bytes]]:
    """Path and content of each sound file in a .deb that ``pattern`` is found in, in the package's order.

    Game archives (.pk3) are looked into; a path in one is that of the archive, then its own. Raises
    MaterialError for what dpkg-deb cannot read.
    """
    wanted = re.compile(pattern)
    for name, content in members(deb, _SOUND | _ARCHIVES):
        if PurePosixPath(name).suffix.lower() in _ARCHIVES:
            yield from _zipped(name, content, wanted)
        elif wanted.search("/" + name):
            yield name, content


def members(deb: Path, suffixes: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Path and content of each file in a .deb with one of these suffixes. Raises MaterialError."""
    process = subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                if not member.isfile() or PurePosixPath(member.name).suffix.lower() not in suffixes:
                    continue
                file = archive.extractfile(member)
                if file is not None:
                    yield member.name.removeprefix("./"), file.read()
    except (tarfile.TarError, EOFError) as error:
        raise MaterialError(f"{deb.name}: {error}") from error
    finally:
        assert process.stdout is not None
        process.stdout.close()
        process.wait()


def _zipped(name: str, content: bytes, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for inner in archive.namelist():
                path = f"{name}/{inner}"
                if PurePosixPath(inner).suffix.lower() in _SOUND and wanted.search("/" + path):
                    yield path, archive.read(inner)
    except zipfile.BadZipFile as error:
        raise MaterialError(f"{name}: {error}") from error
