"""One zip of what a call left, to go with a bug report."""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
from pathlib import Path

from ivr_sim.errors import ConfigurationError
from ivr_sim.reports.call_folder import SUMMARY
from ivr_sim.reports.environment import versions

__all__ = ["bundle", "find_call"]

ENVIRONMENT = "environment.txt"


def find_call(root: Path, wanted: str) -> Path:
    """The folder of a call: by its number (``7`` or ``0007``), or ``last`` for the last one that is over.

    Raises ConfigurationError when there is none.
    """
    try:
        numbered = {int(path.name): path for path in root.iterdir() if re.fullmatch("[0-9]{1,9}", path.name)}
    except OSError:
        numbered = {}
    if not numbered:
        raise ConfigurationError(
            f"no calls in {root}: take some with ivr-sim serve, or name a folder with --data"
        )
    if wanted == "last":
        over = [number for number, path in numbered.items() if (path / SUMMARY).exists()]
        return numbered[max(over or numbered)]
    if not re.fullmatch("[0-9]{1,9}", wanted):
        raise ConfigurationError(f"{wanted!r} is no number of a call; it is a number such as 7, or last")
    if int(wanted) not in numbered:
        first, last = min(numbered), max(numbered)
        raise ConfigurationError(f"no call {wanted} in {root}; there are {first:04d} to {last:04d}")
    return numbered[int(wanted)]


def bundle(folder: Path, target: Path) -> str:
    """Zip a call's folder, with the versions of this program and its surroundings; returns its summary.

    The zip is written whole or not at all, for its owner only. Raises ConfigurationError when it cannot be.
    """
    try:
        summary = (folder / SUMMARY).read_text(encoding="utf-8")
    except OSError:
        summary = (
            f"# Call {folder.name} has no summary\n"
            "It is still under way, or ivr-sim ended before it was over. What there is of it is in the zip.\n"
        )
    handle, part = -1, ""
    try:
        handle, part = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
            for path in sorted(folder.iterdir()):
                # A draft of a recording or picture, and what is no file of the call's, stay behind.
                if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                    zipped.write(path, f"call-{folder.name}/{path.name}")
            lines = [f"{name}: {version}\n" for name, version in versions().items()]
            zipped.writestr(f"call-{folder.name}/{ENVIRONMENT}", "".join(lines))
        os.replace(part, target)
    except OSError as error:
        if part:
            Path(part).unlink(missing_ok=True)
        raise ConfigurationError(
            f"{target} cannot be written: {error.strerror}; name another with -o"
        ) from error
    return summary
