"""What one kept call shows in the report of a run: lanes on one time axis, and the same in words.

All of it is read from the call's folder: journal, masked recording, SIP ladder, HTTP requests.
Places on the axis are percents of its length, so that the page may be as wide as it likes.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from dtmf.spectrogram import HEAT, WINDOW, envelope, levels
from ivr_sim.reports.artefacts import HTTP, JOURNAL, LADDER, RATE, RECORDING
from ivr_sim.reports.exchanges import MADE
from ivr_sim.reports.headline import WAYS
from ivr_sim.reports.ladder import Rung, read_ladder
from ivr_sim.reports.picture import FLOOR_DB, TOP_DB, Bar, Story, read_story

__all__ = ["Chart", "Lane", "Row", "Span", "read_chart"]

PER_SECOND = 10  # columns of a waveform and of a spectrogram, as far as that is
COLUMNS = (300, 1500)
WAVE = 40  # units of a waveform's height
BINS, SHADES = 64, 12  # of a spectrogram: what can be told apart in its height
EARLIEST = -10.0  # seconds before the answer that the axis reaches back to
TOGETHER = 1.0  # seconds between SIP messages of one bar
LETTER = 0.7  # percent that a letter of a name takes, about
ROOM = 2.5  # percent of the axis that a name needs at least
MAX_HTTP = 6000  # characters
MAX_ROWS = 400


class Span(NamedTuple):
    """A bar: where it and its name begin, how wide they are, all in percent; what it is."""

    left: float
    width: float
    begin: float
    room: float
    name: str
    kind: str
    cut: bool


class Lane(NamedTuple):
    """Bars of one sort, on one or two levels."""

    name: str
    levels: Sequence[Sequence[Span]]


class Row(NamedTuple):
    """One thing that happened, in words: when, who, what; kind as in ``Bar``, or empty."""

    t: float | None
    who: str
    what: str
    kind: str


@dataclass
class Chart:
    """A call on its time axis. start, end: seconds since the answer."""

    start: float = 0.0
    end: float = 1.0
    lanes: list[Lane] = field(default_factory=list)
    ticks: list[tuple[float, str]] = field(default_factory=list)
    sound: tuple[float, float] | None = None  # where the recording lies: left and width
    spectrogram: str = ""  # of the caller: a PNG as data URI
    caller: str = ""  # a path of SVG, ``columns`` wide and WAVE high
    ivr: str = ""
    columns: int = 0
    rows: list[Row] = field(default_factory=list)
    rungs: list[Rung] = field(default_factory=list)
    http: str = ""
    missing: list[str] = field(default_factory=list)

    def at(self, t: float) -> float:
        """Where a second lies, in percent."""
        return round(min(max((t - self.start) / (self.end - self.start), 0.0), 1.0) * 100, 2)


def read_chart(folder: Path) -> Chart:
    """The chart of a call's folder; a file that cannot be read is named in ``missing``."""
    chart = Chart()
    story, sound = Story(), np.zeros((0, 2), np.float32)
    try:
        lines = (folder / JOURNAL).read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines]
        story, chart.rows = read_story(records), _rows(records)[:MAX_ROWS]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # whatever another version wrote
        chart.missing.append(JOURNAL)
    try:
        sound = _sound(folder / RECORDING)
    except (OSError, RuntimeError, ValueError):  # libsndfile's errors are RuntimeErrors
        chart.missing.append(RECORDING)
    try:
        chart.rungs = read_ladder((folder / LADDER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        chart.missing.append(LADDER)
    try:
        text = (folder / HTTP).read_text(encoding="utf-8")
        chart.http = "" if text == MADE else text
    except (OSError, ValueError):
        chart.missing.append(HTTP)
    if len(chart.http) > MAX_HTTP:
        chart.http = chart.http[:MAX_HTTP] + f"\n… the rest is in {HTTP}"
    times = [rung.t for rung in chart.rungs]
    chart.start = max(min([0.0, *times]), EARLIEST)
    chart.end = max(len(sound) / RATE, story.end, chart.start + 1.0)
    chart.ticks = [(chart.at(t), f"{t:g}") for t in _ticks(chart.start, chart.end)]
    chart.lanes = _lanes(chart, story)
    if len(sound) >= WINDOW:
        left = chart.at(0.0)
        chart.sound = (left, round(chart.at(len(sound) / RATE) - left, 2))
        chart.columns = min(max(COLUMNS[0], round(len(sound) / RATE * PER_SECOND)), COLUMNS[1])
        chart.spectrogram = _spectrogram(sound[:, 0], chart.columns)
        chart.caller, chart.ivr = (_wave(sound[:, side], chart.columns) for side in (0, 1))
    return chart


def _sound(path: Path) -> npt.NDArray[np.float32]:
    """Both sides, (n, 2), full scale 1."""
    import soundfile  # libsndfile takes its time to load

    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if sound.shape[1] != 2 or rate != RATE:
        raise ValueError(f"{path} is no stereo recording at 8 kHz")
    return np.asarray(sound, np.float32)


# Lanes --------------------------------------------------------------------------------------------


def _ticks(start: float, end: float) -> Iterable[float]:
    step = next((s for s in (0.5, 1, 2, 5, 10, 20, 30) if (end - start) / s <= 24), 60)
    return (n * step for n in range(math.ceil(start / step), math.floor(end / step) + 1))


def _lanes(chart: Chart, story: Story) -> list[Lane]:
    sip: list[Bar] = []
    more = 0
    for rung in chart.rungs:
        if sip and rung.t - sip[-1].end <= TOGETHER:
            more += 1
            sip[-1] = replace(sip[-1], end=rung.t, name=f"{sip[-1].name.split(' and ')[0]} and {more} more")
        else:
            more = 0
            sip.append(Bar(rung.t, rung.t, rung.label, "sip"))
    return [
        *([Lane("SIP", [_spans(chart, sip)])] if sip else ()),
        Lane("HTTP", [_spans(chart, story.http)]),
        # Names of short prompts, one after the other, on two levels in turn.
        Lane("prompts", [_spans(chart, story.prompts[n::2]) for n in (0, 1)]),
        Lane("keys", [_spans(chart, story.keys, named=False)]),
        Lane("entries", [_spans(chart, story.entries[n::2]) for n in (0, 1)]),
    ]


def _spans(chart: Chart, bars: Sequence[Bar], *, named: bool = True) -> list[Span]:
    """Bars with room for their names up to the next one."""
    spans = []
    lefts = [chart.at(bar.start) for bar in bars]
    for n, bar in enumerate(bars):
        width = round(chart.at(bar.end) - lefts[n], 2)
        # The mark of a cut would stand in the middle of a name that is longer than its bar.
        begin = lefts[n] + width if bar.cut and width < LETTER * len(bar.name) else lefts[n]
        room = (lefts[n + 1] if n + 1 < len(bars) else 100.0) - begin
        name = bar.name if named and room >= ROOM else ""
        spans.append(Span(lefts[n], width, round(begin, 2), round(room, 2), name, bar.kind, bar.cut))
    return spans


def _spectrogram(caller: npt.NDArray[np.float32], columns: int) -> str:
    loud = levels(np.pad(caller, (WINDOW // 2, 0)), columns, len(caller) / columns, bins=2 * BINS)
    loud = loud.reshape(BINS, 2, columns).max(axis=1)[::-1]
    shades = np.clip((loud - FLOOR_DB) / (TOP_DB - FLOOR_DB) * SHADES, 0, SHADES - 1).astype(np.uint8)
    image = Image.fromarray(shades, "P")
    places = np.linspace(0, len(HEAT) - 1, SHADES)
    colours = np.stack([np.interp(places, np.arange(len(HEAT)), HEAT[:, c]) for c in range(3)], axis=1)
    image.putpalette(colours.astype(np.uint8).tobytes())
    png = io.BytesIO()
    image.save(png, "PNG", bits=4, optimize=True)
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode("ascii")


def _wave(side: npt.NDArray[np.float32], columns: int) -> str:
    """The outline of a waveform: along its highest samples, and back along the lowest."""
    highest, lowest = envelope(side, columns)
    # Quiet telephones are the ones worth seeing: the square root lifts what is weak.
    ends = np.stack((highest, lowest)).astype(np.float64)
    heights = np.rint(WAVE / 2 * (1 - np.sign(ends) * np.sqrt(np.abs(ends)))).astype(int)
    top, bottom = heights[0].tolist(), (heights[1] + (heights[1] == heights[0])).tolist()
    return f"M0 {top[0]}{_line(top, 1)}V{bottom[-1]}{_line(bottom[::-1], -1)}z"


def _line(heights: Sequence[int], step: int) -> str:
    """Relative lines from the first height on; what is level is one line."""
    parts: list[str] = []
    level = 0
    for before, after in itertools.pairwise(heights):
        if after == before:
            level += step
            continue
        if level:
            parts.append(f"h{level}")
            level = 0
        parts.append(f"l{step}{'' if after < before else ' '}{after - before}")
    return "".join(parts) + (f"h{level}" if level else "")


# Words --------------------------------------------------------------------------------------------


def _rows(records: Sequence[dict[str, Any]]) -> list[Row]:
    rows: list[Row] = []
    keys: list[dict[str, Any]] = []
    for record in records:
        if record["event"] == "KeyPressed":
            keys.append(record)
            continue
        if record["event"] == "PromptEnded" and record["cut_by"] == "key":
            continue  # the keys that follow say it
        if keys:
            rows.append(_pressed(keys))
            keys = []
        row = _row(record)
        if row is not None:
            rows.append(row)
    return [*rows, _pressed(keys)] if keys else rows


def _pressed(keys: Sequence[dict[str, Any]]) -> Row:
    ways = ", ".join(sorted({WAYS.get(key["method"], key["method"]) for key in keys}))
    return Row(keys[0]["start"], "caller", f"{len(keys)} key{'s' * (len(keys) > 1)} by {ways}", "key")


def _row(record: dict[str, Any]) -> Row | None:
    t = record.get("t")
    match record["event"]:
        case "CallOffered":
            return Row(t, "caller", f"{record['from']} calls {record['to']}", "")
        case "CallAnswered":
            return Row(t, "IVR", f"answers: {record['codec']}", "")
        case "CallFailed":
            return Row(t, "IVR", f"refuses: {record['status']} {record['reason']}", "refused")
        case "PromptStarted":
            params = ", ".join(f"{name} {value}" for name, value in record["params"].items())
            return Row(t, "IVR", f"says {record['name']}" + (f" ({params})" if params else ""), "prompt")
        case "PromptEnded" if record["cut_by"] is not None:
            return Row(t, "IVR", f"{record['name']} is cut by {record['cut_by']}", "")
        case "KeyRefused":
            what = f"a tone that is no key: {record['reason']}, {record['duration_ms']} ms"
            return Row(record["start"], "caller", what, "refused")
        case "EntryAccepted":
            value = record["value"]
            shown = f"{record['length']} digits, secret" if value is None else value
            return Row(t, "IVR", f"takes {record['field']}: {shown}", "entry")
        case "EntryRefused":
            return Row(t, "IVR", f"refuses {record['field']}: {record['reason']}", "refused")
        case "AuthorizerReplied":
            status = "no answer" if record["status"] is None else f"HTTP {record['status']}"
            good = record["cause"] in ("ok", "refused")
            what = f"replies: {status}, {record['cause']}, {record['ms']} ms"
            return Row(t, "authorizer", what, "authorizer" if good else "refused")
        case "ChargeSent":
            return Row(t, "IVR", f"charges {record['amount']} for order {record['order_id']}", "charge")
        case "ChargeSettled" | "ChargeReconciled":
            code = f", error {record['error_code']}" if record["error_code"] else ""
            charge = f", charge {record['charge_id']}" if record["charge_id"] else ""
            return Row(t, "Openpay", f"{record['result']}{code}{charge}", "charge")
        case "Finding":
            return Row(t, "note", f"{record['what']} {record['advice']}", "refused")
        case "CallEnded":
            cause = f" ({record['cause']})" if record["cause"] else ""
            return Row(
                t, record["by"].replace("ivr", "IVR"), f"ends the call: {record['outcome']}{cause}", ""
            )
    return None
