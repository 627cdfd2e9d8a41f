"""The picture of one call: what the caller sent as a spectrogram, both sides as waveforms, what happened.

    HTTP and charges      bars
    prompts               bars with their names, red at the end where a key cut them
    caller                spectrogram, 0 to 4 kHz, and waveform
    keys                  a bar for each, by the way it came; never which, but of published entries
    IVR                   waveform

Drawn from the masked recording and the journal, in a process of its own, so that the process that carries
calls never waits for it: ``python picture.py JOURNAL RECORDING PICTURE``. Of ours it imports only how sounds
and words are drawn.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from dtmf.drawing import width_of, write
from dtmf.spectrogram import HEAT, WINDOW, coloured, envelope, levels

__all__ = ["FLOOR_DB", "TOP_DB", "Bar", "Story", "draw", "read_story"]

DRAWN = "drawn"  # said at the end, when all went well
WIDTH = 1600
LEFT, RIGHT = 92, 14
ROW_SECONDS = 40.0  # longer calls go on in the next row
LONGEST = 660.0  # seconds; a recording has no more
RATE = 8000
FLOOR_DB, TOP_DB = -75.0, -10.0  # below full scale: black, and white

BACK, INK, FAINT, GRID = (255, 255, 255), (30, 34, 40), (120, 126, 136), (225, 228, 233)
CUT = REFUSED = (214, 60, 48)
WAYS = {"rfc4733": (38, 110, 200), "info": (150, 70, 190), "inband": (222, 130, 20)}
COLOURS = {  # by the kind of a bar
    "prompt": (190, 222, 196),
    "authorizer": (214, 200, 240),
    "charge": (246, 206, 150),
    "entry": FAINT,
    "refused": REFUSED,
    **WAYS,
}
WAY_NAMES = {"rfc4733": "RFC 4733", "info": "SIP INFO", "inband": "in-band tone"}
# Lanes of a row: name and height in pixels.
LANES = {
    "http": 20,
    "prompts": 34,
    "caller": 168,
    "wave": 56,
    "keys": 20,
    "entries": 20,
    "ivr": 56,
    "axis": 22,
}
GAP = 5


@dataclass
class Bar:
    """Something that lasted: from, to (seconds since the answer), what it is called.

    kind: prompt, authorizer, charge, entry, refused (an entry, or a tone), or the way that a key came.
    """

    start: float
    end: float
    name: str
    kind: str
    cut: bool = False


@dataclass
class Story:
    """What the journal tells of a call, as bars for each lane."""

    title: str = ""
    prompts: list[Bar] = field(default_factory=list)
    http: list[Bar] = field(default_factory=list)
    keys: list[Bar] = field(default_factory=list)
    entries: list[Bar] = field(default_factory=list)
    ways: set[str] = field(default_factory=set)
    refused: int = 0
    end: float = 0.0


def draw(journal: Path, recording: Path, picture: Path) -> None:
    """Draw a call's picture, of its journal and its recording, for its owner only.

    Where there is no recording, there are no sounds in it. Raises OSError, and ValueError or wave.Error for
    files that cannot be read.
    """
    with journal.open(encoding="utf-8") as lines:
        story = read_story([json.loads(line) for line in lines])
    image = _image(story, _sound(recording))
    handle, part = tempfile.mkstemp(prefix=f".{picture.name}.", suffix=".part", dir=picture.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            image.save(file, "PNG")
        os.replace(part, picture)
    except BaseException:
        os.unlink(part)
        raise


def _sound(path: Path) -> npt.NDArray[np.float32]:
    """Both sides, (n, 2), full scale 1."""
    if not path.exists():
        return np.zeros((0, 2), np.float32)
    with wave.open(str(path), "rb") as wav:
        if (wav.getnchannels(), wav.getframerate(), wav.getsampwidth()) != (2, RATE, 2):
            raise ValueError(f"{path} is no stereo recording at 8 kHz")
        data = wav.readframes(int(LONGEST * RATE))
    return (np.frombuffer(data, "<i2").reshape(-1, 2) / 32768).astype(np.float32)


# What happened -----------------------------------------------------------------------------------


def read_story(records: list[dict[str, Any]]) -> Story:
    """What happened in a call, of its journal's JSON objects."""
    story = Story()
    offered: dict[str, Any] = {}
    answered: dict[str, Any] = {}
    outcome = "not ended"
    typed: list[Bar] = []  # since the last entry
    for record in records:
        t = record["t"] if isinstance(record.get("t"), int | float) else 0.0
        story.end = max(story.end, t)
        match record["event"]:
            case "CallOffered":
                offered = record
            case "CallAnswered":
                answered = record
            case "PromptStarted":
                story.prompts.append(Bar(t, t, record["name"], "prompt"))
            case "PromptEnded" if story.prompts:
                story.prompts[-1].end = t
                story.prompts[-1].cut = record["cut_by"] is not None
            case "KeyPressed":
                start = record["start"]
                bar = Bar(start, start + record["duration_ms"] / 1000, "", record["method"])
                story.ways.add(record["method"])
                story.keys.append(bar)
                typed.append(bar)
            case "KeyRefused":
                start = record["start"]
                story.refused += 1
                story.keys.append(
                    Bar(start, start + record["duration_ms"] / 1000, record["reason"], "refused")
                )
            case "EntryAccepted" | "EntryRefused":
                if record["event"] == "EntryRefused":
                    name, kind = f"{record['field']}: {record['reason']}", "refused"
                else:
                    value = record["value"]
                    shown = f"{record['length']} digits, secret" if value is None else value
                    name, kind = f"{record['field']}: {shown}", "entry"
                first = min((bar.start for bar in typed), default=t)
                last = max((bar.end for bar in typed), default=t)
                story.entries.append(Bar(first, last, name, kind))
                typed = []
            case "AuthorizerReplied":
                name = f"authorizer: {record['cause']}, {record['ms']} ms"
                story.http.append(Bar(t - record["ms"] / 1000, t, name, "authorizer"))
            case "ChargeSettled":
                story.http.append(
                    Bar(
                        t - record["ms"] / 1000, t, f"charge: {record['result']}, {record['ms']} ms", "charge"
                    )
                )
            case "CallEnded":
                outcome = f"{record['outcome']} ({record['cause']})" if record["cause"] else record["outcome"]
            case "CallFailed":
                outcome = f"failed: {record['status']} {record['reason']}"
    parts = [
        f"Call {offered.get('call', '?')}: {offered.get('from', '?')} calls {offered.get('to', '?')}",
        str(offered.get("at", ""))[:19].replace("T", " ") + " UTC",
        offered.get("user_agent"),
        answered.get("codec"),
        outcome,
    ]
    story.title = "  |  ".join(str(part) for part in parts if part)
    return story


# The picture -------------------------------------------------------------------------------------


def _image(story: Story, sound: npt.NDArray[np.float32]) -> Image.Image:
    length = min(max(len(sound) / RATE, story.end, 1.0), LONGEST)
    rows = int(np.ceil(length / ROW_SECONDS))
    seconds = ROW_SECONDS if rows > 1 else max(length, 5.0)
    height = sum(LANES.values()) + GAP * (len(LANES) + 1)
    image = Image.new("RGB", (WIDTH, 56 + rows * height), BACK)
    pen = ImageDraw.Draw(image)
    pen.fontmode = "L"
    write(pen, (LEFT, 8), story.title, INK, size=17, width=WIDTH - LEFT - RIGHT)
    _legend(pen, story)
    for row in range(rows):
        _Row(image, pen, story, sound, top=56 + row * height, start=row * seconds, seconds=seconds).draw()
    return image


def _legend(pen: ImageDraw.ImageDraw, story: Story) -> None:
    x = LEFT
    shown = [(WAYS[way], f"key by {WAY_NAMES[way]}") for way in WAYS if way in story.ways]
    if story.refused:
        shown.append((REFUSED, "tone heard, not taken for a key"))
    if any(bar.cut for bar in story.prompts):
        shown.append((CUT, "prompt cut short"))
    shown.append(((96, 60, 90), "a steady 400 Hz is the mask over secret keys"))
    for colour, text in shown:
        pen.rectangle((x, 36, x + 12, 46), fill=colour)
        write(pen, (x + 18, 33), text, FAINT)
        x += 18 + int(width_of(text, 13)) + 24


class _Row:
    """One stretch of time, all lanes."""

    def __init__(
        self,
        image: Image.Image,
        pen: ImageDraw.ImageDraw,
        story: Story,
        sound: npt.NDArray[np.float32],
        *,
        top: int,
        start: float,
        seconds: float,
    ) -> None:
        self._image, self._pen, self._story = image, pen, story
        self._start, self._seconds = start, seconds
        self._width = WIDTH - LEFT - RIGHT
        self._sound = sound[round(start * RATE) : round((start + seconds) * RATE)]
        self._tops: dict[str, int] = {}
        for name, height in LANES.items():
            self._tops[name] = top
            top += height + GAP

    def draw(self) -> None:
        for name, text in (
            ("http", "HTTP"), ("prompts", "prompts"), ("caller", "caller"), ("keys", "keys"),
            ("entries", "entries"), ("ivr", "IVR"),
        ):  # fmt: skip
            write(self._pen, (12, self._tops[name] + 3), text, INK)
        self._grid()
        self._bars("http", self._story.http)
        self._bars("prompts", self._story.prompts)
        self._spectrogram()
        self._wave("wave", 0)
        self._wave("ivr", 1)
        self._bars("keys", self._story.keys)
        self._bars("entries", self._story.entries)

    def _x(self, t: float) -> float:
        return LEFT + (t - self._start) / self._seconds * self._width

    def _grid(self) -> None:
        step = next(s for s in (0.5, 1, 2, 5) if self._seconds / s <= 41)
        top, bottom = self._tops["http"], self._tops["axis"]
        for n in range(int(np.ceil(self._start / step)), int((self._start + self._seconds) / step) + 1):
            x = self._x(n * step)
            self._pen.line((x, top, x, bottom), fill=GRID)
            write(self._pen, (x - 8, bottom + 2), f"{n * step:g}" + (" s" if n == 0 else ""), FAINT)

    def _bars(self, lane: str, bars: list[Bar]) -> None:
        """Bars from left to right; a name that has no room goes on behind its bar, up to the next one."""
        top, height = self._tops[lane], LANES[lane]
        edge = LEFT + self._width
        seen = [b for b in bars if b.end >= self._start and b.start < self._start + self._seconds]
        levels = 2 if lane == "prompts" else 1  # names of short prompts, one after the other, in turn
        for n, bar in enumerate(seen):
            level = n % levels
            y, size = top + level * height // levels, height // levels - 1
            x1, x2 = max(self._x(bar.start), LEFT), min(max(self._x(bar.end), self._x(bar.start) + 2), edge)
            colour = COLOURS.get(bar.kind, INK)
            if lane == "entries":
                self._pen.line((x1, y + size, x2, y + size), fill=colour, width=2)
            else:
                self._pen.rectangle((x1, y, x2, y + size - 1), fill=colour)
            if bar.cut:
                self._pen.rectangle((x2 - 3, y, x2, y + size - 1), fill=CUT)
            follower = next(iter(seen[n + levels : n + levels + 1]), None)
            room = (self._x(follower.start) if follower is not None else edge) - x1 - 6
            ink = REFUSED if bar.kind == "refused" else INK
            write(self._pen, (x1 + 3, y), bar.name, ink, width=room)

    def _spectrogram(self) -> None:
        top, height = self._tops["caller"], LANES["caller"]
        self._pen.rectangle((LEFT, top, LEFT + self._width, top + height), fill=tuple(HEAT[0].astype(int)))
        caller = self._sound[:, 0]
        columns = round(len(caller) / RATE / self._seconds * self._width)
        if len(caller) >= WINDOW and columns > 0:
            padded = np.pad(caller, (WINDOW // 2, 0))
            loud = levels(padded, columns, self._seconds * RATE / self._width)
            part_image = Image.fromarray(coloured(loud, FLOOR_DB, TOP_DB))
            self._image.paste(part_image.resize((columns, height)), (LEFT, top))
        for hertz in (1000, 2000, 3000):
            y = top + height - height * hertz / 4000
            self._pen.line((LEFT - 5, y, LEFT, y), fill=FAINT)
            write(self._pen, (LEFT - 44, y - 8), f"{hertz // 1000} kHz", FAINT, size=11)

    def _wave(self, lane: str, side: int) -> None:
        """The range of the samples under each pixel."""
        top, height = self._tops[lane], LANES[lane]
        middle = top + height / 2
        self._pen.line((LEFT, middle, LEFT + self._width, middle), fill=GRID)
        samples = self._sound[:, side]
        columns = round(len(samples) / RATE / self._seconds * self._width)
        if not columns:
            return
        highest, lowest = envelope(samples, columns)
        colour = (60, 90, 140) if side == 0 else (60, 130, 80)
        # Quiet telephones are the ones worth seeing: the square root lifts what is weak.
        for x, ends in enumerate(np.stack((highest, lowest), axis=1)):
            high, low = middle - np.sign(ends) * np.sqrt(np.abs(ends)) * height / 2
            self._pen.line((LEFT + x, high, LEFT + x, low), fill=colour)


def main(argv: list[str]) -> int:
    """Draw the picture of these files; 1 and one line on standard error when it cannot be drawn."""
    if hasattr(os, "nice"):
        os.nice(10)  # the calls come first
    try:
        draw(*map(Path, argv))
    except Exception as error:  # whatever it is, the process that asked wants to know in one line
        print(f"{type(error).__name__}: {str(error)[:200]!r}", file=sys.stderr)
        return 1
    print(DRAWN)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
