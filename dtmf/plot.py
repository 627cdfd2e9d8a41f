"""The picture of a recording: spectrogram and waveform, with what was heard in it drawn on them.

    key, dBm0, twist   each key at its time, with its level and its twist, where there is room
    spectrogram        0 to 2.4 kHz, the keypad's frequencies as lines, the two tones of each key framed
    refused            tones that were not taken for keys, and why
    waveform           the range of the samples; keys blue, refused tones red behind it

Channels stand below each other; a long recording goes on in further rows. Needs Pillow.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from dtmf.errors import DtmfError
from dtmf.hearing import Heard, decode_file
from dtmf.keypad import KEYS_16
from dtmf.keypress import Tone
from dtmf.masking import HIDDEN, mask_text, masked
from dtmf.sound_view import View, view
from dtmf.spectrogram import HEAT
from dtmf.standards import DEFAULT, Profile

try:
    from PIL import Image, ImageDraw
except ImportError as error:
    raise DtmfError("pictures need Pillow; install it with: pip install pillow") from error

from dtmf.drawing import Colour, width_of, write
from dtmf.panel import (
    AROUND,
    BACK,
    BINS,
    COLUMNS,
    FAINT,
    FLOOR_DBM0,
    HIGH,
    INK,
    KEY,
    LEFT,
    LOW,
    MASK,
    REFUSED,
    RIGHT,
    TOP_DBM0,
    WIDTH,
    Hidden,
    Panel,
    clock,
)  # fmt: skip

__all__ = ["plot"]

HEAD = 62  # height
ROW_SECONDS, MOST_ROWS, MOST_CHANNELS = 20.0, 6, 8
FEW = 2  # panels that may be high
SHORTEST = 0.01  # seconds that one picture shows


def plot(
    source: str | os.PathLike[str],
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    keys: str = KEYS_16,
    profile: Profile = DEFAULT,
    mask: bool = False,
) -> Image.Image:
    """Draw a sound file from ``start_s`` to ``end_s`` (its end), of any length.

    With ``mask`` there is nothing to be seen from the first to the last key of a run that may be a card
    number, on no channel: a spectrogram shows digits, too. Raises DtmfError for what cannot be read or is
    not there; the message goes on where the file's name ends.
    """
    heard = decode_file(source, keys=keys, profile=profile, refusals=True)
    length = heard[0].duration_s
    if not length:
        raise DtmfError("has no sound in it")
    end_s = length if end_s is None else min(end_s, length)
    if not 0 <= start_s < length:
        raise DtmfError(f"lasts {length:.3f} s; it cannot be drawn from {start_s:g} s on")
    if not end_s - start_s >= min(SHORTEST, length):
        raise DtmfError(f"cannot be drawn from {start_s:g} to {end_s:g} s; {SHORTEST:g} s is the least")
    hidden = _hidden(heard) if mask else []
    drawn = heard[:MOST_CHANNELS]
    seconds = end_s - start_s
    rows = min(math.ceil(seconds / ROW_SECONDS), max(1, MOST_ROWS // len(drawn)))
    views = view(
        source,
        start_s,
        end_s,
        rows * COLUMNS,
        channels=len(drawn),
        bins=BINS,
        silent=[(one.start, one.end) for one in hidden],
    )
    height = HIGH if rows * len(drawn) <= FEW else LOW
    panel = height + AROUND
    image = Image.new("RGB", (WIDTH, HEAD + rows * len(drawn) * panel), BACK)
    pen = ImageDraw.Draw(image)
    name = Path(source).name
    _head(pen, mask_text(name) if mask else name, heard, (start_s, end_s), bool(hidden))
    scales = [_scale(seen) for seen in views]
    top = HEAD
    for row in range(rows):
        first = start_s + row * seconds / rows
        for one, seen, scale in zip(drawn, views, scales, strict=True):
            part = slice(row * COLUMNS, (row + 1) * COLUMNS)
            cut = View(seen.levels[:, part], seen.highest[part], seen.lowest[part])
            span = (first, first + seconds / rows)
            Panel(image, pen, one, cut, hidden, span, top, height, scale, len(heard) > 1).draw()
            top += panel
    return image


def _scale(seen: View) -> float:
    """How far the waveform of a channel reaches, as a round share of full scale."""
    peak = max(float(seen.highest.max()), -float(seen.lowest.min()))
    return next((s for s in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if peak <= s), 1.0)


def _hidden(heard: list[Heard]) -> list[Hidden]:
    """The stretches with card numbers, of all channels: one may have the echo of another."""
    found: list[Hidden] = []
    for one in heard:
        run: list[Tone] = []
        for tone, sign in zip([*one.tones, None], masked(one.digits) + " ", strict=True):
            if tone is not None and sign == HIDDEN:
                run.append(tone)
            elif run:
                # Beyond the tones: their edges, and what there is of them in an echo. In whole tenths, for
                # where a tone is found to begin differs a little from key to key.
                start = math.floor((run[0].start_s - 0.05) * 10) / 10
                found.append(Hidden(start, math.ceil((run[-1].end_s + 0.3) * 10) / 10, len(run)))
                run = []
    merged: list[Hidden] = []
    for one_more in sorted(found, key=lambda each: each.start):
        if merged and one_more.start < merged[-1].end:
            last = merged.pop()
            one_more = Hidden(last.start, max(last.end, one_more.end), max(last.keys, one_more.keys))
        merged.append(one_more)
    return merged


def _head(
    pen: ImageDraw.ImageDraw, name: str, heard: list[Heard], span: tuple[float, float], hidden: bool
) -> None:
    """What is drawn, and what the colours mean."""
    length = heard[0].duration_s
    digits = 3 if span[1] - span[0] < 60 else 0
    parts = [name, f"{clock(length, length, digits)} long"]
    if span != (0.0, length):
        parts.append(f"from {clock(span[0], length, digits)} to {clock(span[1], length, digits)}")
    if len(heard) > 1:
        shown = f"the first {MOST_CHANNELS} of " if len(heard) > MOST_CHANNELS else ""
        parts.append(f"{shown}{len(heard)} channels")
    inside = [tone for one in heard for tone in one.tones if tone.end_s > span[0] and tone.start_s < span[1]]
    parts.append(f"{len(inside)} key" + ("" if len(inside) == 1 else "s"))
    write(pen, (LEFT, 8), "  |  ".join(parts), INK, size=17, width=COLUMNS)
    x = float(LEFT)
    legend: list[tuple[Colour, str]] = [
        (KEY, "key, with its level in dBm0 and its twist (high - low tone) in dB"),
        (REFUSED, "tone not taken for a key"),
    ]
    if hidden:
        legend.append((MASK, "may be a card number: hidden"))
    for colour, text in legend:
        pen.rectangle((x, 40, x + 12, 50), fill=colour)
        write(pen, (x + 18, 37), text, FAINT)
        x += 18 + width_of(text, 13) + 24
    right = WIDTH - RIGHT - 150
    for n in range(100):
        place = n / 99 * (len(HEAT) - 1)
        low = min(int(place), len(HEAT) - 2)
        colour = HEAT[low] + (HEAT[low + 1] - HEAT[low]) * (place - low)
        red, green, blue = (int(part) for part in colour)
        pen.line((right + n, 40, right + n, 50), fill=(red, green, blue))
    write(pen, (right - 28, 37), f"{FLOOR_DBM0:.0f}", FAINT)
    write(pen, (right + 106, 37), f"{TOP_DBM0:.0f} dBm0", FAINT)
