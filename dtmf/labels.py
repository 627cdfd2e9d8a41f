"""What a recording should say: digits from a manifest, from a text beside the recording, or from its name.

    manifest     file,digits[,channel]    CSV or TSV, with or without headings; files lie relative to it
    text beside  call.txt, call.wav.txt   digits, one line or one per channel; or Audacity's label track
    name         dtmf-12s4p_noisy.wav     after "dtmf-" or "dtmf_": 0-9 A-D * #, and s for *, p for #
                 1234_a.wav               or the beginning of the name: 0-9 A-D * #, one of 0-9 among them

A name's digits end with the name or with one of ``- _ .`` or a blank. A text beside a recording wins over its
name, a manifest over both. Nothing written (an empty text, an empty cell, or "-") means: no keys at all.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dtmf.errors import DtmfError
from dtmf.folder import SOUNDS, sound_files
from dtmf.keypad import KEYS_16

__all__ = ["Planned", "plan"]

_LONGEST_TEXT = 16 << 20  # bytes; a manifest of 100,000 recordings has half of that
_LFS = b"version https://git-lfs"
_NAMED = re.compile(r"(?i:dtmf)[-_]([0-9A-D*#sp]+)(?=$|[-_. ])")
_BARE = re.compile(r"(?=[A-D*#]*[0-9])([0-9A-D*#]+)(?=$|[-_. ])")
_REMARK = re.compile(r"\(.*\)")
_SPELT = str.maketrans("sp", "*#")  # no file on Windows has a * in its name


@dataclass(frozen=True)
class Planned:
    """A recording to be judged: its file, what it should say, and why it cannot be judged if so.

    channel: from 1; None for all of them together. digits: of ``KEYS_16``; without a ``problem`` there
    are some, if only none.
    """

    file: Path
    channel: int | None = None
    digits: str | None = None
    problem: str | None = None


def plan(paths: Iterable[Path]) -> list[Planned]:
    """The recordings in folders (and the folders in these), in manifests, or given one by one, in order.

    A recording whose label is missing, or makes no sense, or is contradicted by another, is planned with
    its ``problem``. Raises DtmfError for folders and manifests that cannot be read, and for nothing at all.
    """
    found: dict[tuple[Path, int | None], Planned] = {}
    labelled: Iterable[Planned]
    for path in paths:
        if os.path.isdir(path):
            labelled = _folder(path)
        elif path.name.lower().endswith(SOUNDS):
            labelled = _beside(path)
        else:
            labelled = _manifest(path)
        empty = True
        for label in labelled:
            empty = False
            _add(found, label)
        if empty:
            kind = "recordings" if os.path.isdir(path) else "lines"
            raise DtmfError(f"{path}: there are no {kind} in it")
    if not found:
        raise DtmfError("there is nothing to check")
    return list(found.values())


def _add(found: dict[tuple[Path, int | None], Planned], label: Planned) -> None:
    before = found.setdefault((label.file, label.channel), label)
    if before != label and before.problem is None:
        problem = label.problem or "has two labels that contradict each other"
        found[label.file, label.channel] = Planned(label.file, label.channel, problem=problem)


def _folder(folder: Path) -> Iterator[Planned]:
    try:
        for file in sound_files(folder):
            yield from _beside(Path(file))
    except DtmfError as error:
        raise DtmfError(f"{folder} {error}") from error


# Texts beside recordings, and names --------------------------------------------------------------


def _beside(file: Path) -> list[Planned]:
    """The labels of a recording by the texts beside it, else by its name: one, or one per channel."""
    texts = [file.with_suffix(".txt"), file.with_name(f"{file.name}.txt")]
    read: list[list[Planned]] = []
    for text in texts:
        try:
            if not os.path.lexists(text):
                continue
            channels = _channels(_text_of(text))
        except DtmfError as error:
            return [Planned(file, problem=f"its label {text.name} {error}")]
        if len(channels) == 1:
            read.append([Planned(file, digits=channels[0])])
        else:
            read.append([Planned(file, n, digits) for n, digits in enumerate(channels, 1)])
    if not read:
        digits = _in_name(file.stem)
        problem = None if digits is not None else f"has no label: no {texts[0].name}, no digits in its name"
        return [Planned(file, digits=digits, problem=problem)]
    if read[0] != read[-1]:
        names = " and ".join(text.name for text in texts)
        return [Planned(file, problem=f"has two labels that contradict each other, {names}")]
    return read[0]


def _in_name(stem: str) -> str | None:
    match = _NAMED.match(stem)
    if match:
        return match[1].translate(_SPELT)
    match = _BARE.match(stem)
    return match[1] if match else None


def _channels(text: str) -> list[str]:
    """The digits of each channel that a text beside a recording tells of; at least one. Raises DtmfError."""
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[0].count("\t") >= 2:
        return [_audacity(lines)]
    return [_keys(line, f"line {n}") for n, line in enumerate(lines, 1)] or [""]


def _audacity(lines: list[str]) -> str:
    """The digits of an Audacity label track: start, end and text, set apart by tabs. Raises DtmfError.

    Lines that begin with a backslash hold the frequencies of the label before; what stands in round brackets
    is a remark, as `dtmf decode --labels` makes them of near misses.
    """
    labels: list[tuple[float, str]] = []
    for n, line in enumerate(lines, 1):
        if line.startswith("\\"):
            continue
        start, _, rest = line.partition("\t")
        _, tab, text = rest.partition("\t")
        try:
            seconds = float(start.replace(",", "."))  # the decimal sign is the writer's country's
        except ValueError:
            seconds = math.nan
        if not tab or not math.isfinite(seconds):
            raise DtmfError(f"has no start, end and text in label {n}")
        if not _REMARK.fullmatch(text.strip()):
            labels.append((seconds, _keys(text, f"label {n}")))
    return "".join(text for _, text in sorted(labels, key=lambda label: label[0]))


def _keys(text: str, place: str) -> str:
    """Digits as people write them: blanks do not count, "-" alone is none. Raises DtmfError."""
    digits = "".join(text.split()).upper()
    if digits == "-":
        return ""
    for digit in digits:
        if digit not in KEYS_16:
            raise DtmfError(f"has {digit!r} in {place}, which is no key; the keys are 0-9, *, # and A-D")
    return digits


# Manifests ---------------------------------------------------------------------------------------


def _manifest(path: Path) -> Iterator[Planned]:
    try:
        text = _text_of(path)
    except DtmfError as error:
        raise DtmfError(f"{path} {error}") from error
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = next((sign for sign in "\t;," if sign in first), None)
    if delimiter is None:
        raise DtmfError(f"{path} is no manifest: its first line is not file,digits[,channel]")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns = {"file": 0, "digits": 1, "channel": 2}
    beginning = True
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise DtmfError(f"{path} cannot be read at line {rows.line_num} ({error})") from error
        if row is None:
            return
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if beginning:
            beginning = False
            headings = [cell.lower() for cell in cells]
            if "file" in headings and "digits" in headings:
                columns = {name: headings.index(name) for name in columns if name in headings}
                continue
        yield _row(path, rows.line_num, {name: cells[at] for name, at in columns.items() if at < len(cells)})


def _row(path: Path, line: int, cells: dict[str, str]) -> Planned:
    """One recording of a manifest."""
    place = f"{path.name}, line {line}"
    name = cells.get("file", "")
    if not name or "\0" in name:
        raise DtmfError(f"{path} names no file in line {line}")
    file = path.parent / name
    channel: int | None = None
    number = cells.get("channel", "")
    if number:
        if not (number.isascii() and number.isdecimal() and 1 <= int(number[:6]) <= 1024):
            return Planned(file, problem=f"has {number[:20]!r} for a channel ({place}); they count from 1")
        channel = int(number[:6])
    if "digits" not in cells:
        return Planned(file, channel, problem=f"has no digits ({place})")
    try:
        return Planned(file, channel, _keys(cells["digits"], place))
    except DtmfError as error:
        return Planned(file, channel, problem=str(error))


def _text_of(path: Path) -> str:
    """The text of a small file. Raises DtmfError, the rest of a sentence that begins with the file's name."""
    try:
        if not path.is_file():
            path.stat()
            raise DtmfError("is no file")
        with path.open("rb") as file:
            data = file.read(_LONGEST_TEXT + 1)
    except OSError as error:
        raise DtmfError(f"cannot be read: {error.strerror}") from error
    if data.startswith(_LFS):
        raise DtmfError("is a pointer of Git LFS, not the text itself; fetch it with: git lfs pull")
    if len(data) > _LONGEST_TEXT:
        raise DtmfError(f"is larger than {_LONGEST_TEXT >> 20} MB: no text with digits")
    if b"\0" in data:
        raise DtmfError("is no text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DtmfError("is no text in UTF-8") from error
