"""One channel of a recording in one stretch of time, drawn: keys, spectrogram, refused tones, waveform."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw

from dtmf.drawing import plain, sideways, width_of, write
from dtmf.goertzel import FULL_SCALE_DBM0
from dtmf.hearing import Heard
from dtmf.keypad import HIGH_HZ, LOW_HZ, key_tones
from dtmf.keypress import Tone
from dtmf.refusal import Refused
from dtmf.sound_view import View
from dtmf.spectrogram import WINDOW, coloured

__all__ = ["Hidden", "Panel", "clock"]

WIDTH, LEFT, RIGHT = 1600, 96, 20
COLUMNS = WIDTH - LEFT - RIGHT
MARKS, REFUSALS, WAVE, AXIS, GAP = 64, 30, 80, 40, 4  # heights
HIGH, LOW = 390, 234  # of the spectrogram: where there is much room, and where there is little
AROUND = MARKS + REFUSALS + WAVE + AXIS + 4 * GAP  # the height of all the rest

STEP_HZ = 8000 / WINDOW
BINS = 78  # up to 2.4 kHz: the keypad, hum and dial tones below it, and the low tones' harmonics
FLOOR_DBM0, TOP_DBM0 = -70.0, -5.0

INK, FAINT, GRID, BACK = (30, 34, 40), (110, 116, 126), (225, 228, 233), (255, 255, 255)
KEY, KEY_BACK = (20, 90, 190), (214, 229, 250)
REFUSED, REFUSED_BACK, REFUSED_FRAME = (200, 44, 34), (250, 216, 212), (255, 84, 70)
FRAME, LINE = (120, 235, 255), (150, 160, 190)
MASK = (140, 144, 150)
SOUND = (70, 80, 100)

NAMES = {"too_short": "too short", "too_weak": "too weak", "frequency": "off frequency", "purity": "not pure"}
TICKS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)


@dataclass(frozen=True)
class Hidden:
    """A stretch of time of which nothing is shown: from, to, and how many keys."""

    start: float
    end: float
    keys: int


class Panel:
    """What is drawn from ``top`` down, HIGH + AROUND or LOW + AROUND high.

    hidden: stretches of which nothing is shown, whose sound was cut out of ``seen`` before. span: from and
    to, seconds; height: of the spectrogram; scale: what the waveform reaches to; several: channels.
    """

    def __init__(
        self,
        image: Image.Image,
        pen: ImageDraw.ImageDraw,
        heard: Heard,
        seen: View,
        hidden: list[Hidden],
        span: tuple[float, float],
        top: int,
        height: int,
        scale: float,
        several: bool,
    ) -> None:
        self._image, self._pen, self._seen = image, pen, seen
        self._height, self._scale = height, scale
        self._start, self._end = span
        self._length = heard.duration_s
        self._hidden = [one for one in hidden if self._visible(one.start, one.end)]
        self._tones = [tone for tone in heard.tones if self._shown(tone.start_s, tone.end_s)]
        self._refused = [tone for tone in heard.refused if self._shown(tone.start_s, tone.end_s)]
        self._channel = heard.channel if several else None
        self._marks = top
        self._spectrum = top + MARKS + GAP
        self._reasons = self._spectrum + height + GAP
        self._wave = self._reasons + REFUSALS + GAP
        self._axis = self._wave + WAVE

    def _visible(self, start: float, end: float) -> bool:
        return start < self._end and end > self._start

    def _shown(self, start: float, end: float) -> bool:
        """Whether a tone is in sight, and not hidden."""
        return self._visible(start, end) and not any(
            one.start < end and start < one.end for one in self._hidden
        )

    def _x(self, t: float) -> float:
        """Where a time is; at the edge what lies beyond it."""
        share = (t - self._start) / (self._end - self._start)
        return LEFT + min(max(share, 0.0), 1.0) * COLUMNS

    def _y(self, hertz: float) -> float:
        """The middle of the lowest line is 0 Hz."""
        return self._spectrum + self._height * (1 - (hertz / STEP_HZ + 0.5) / BINS)

    def draw(self) -> None:
        """Onto the image."""
        self._spectrogram()
        self._waveform()
        self._time_axis()
        self._keys()
        self._reasons_why()
        for one in self._hidden:
            self._cover(one)

    def _spectrogram(self) -> None:
        floor, top = FLOOR_DBM0 - FULL_SCALE_DBM0, TOP_DBM0 - FULL_SCALE_DBM0
        picture = Image.fromarray(coloured(self._seen.levels, floor, top))
        self._image.paste(
            picture.resize((COLUMNS, self._height), Image.Resampling.BILINEAR), (LEFT, self._spectrum)
        )
        write(self._pen, (6, self._spectrum + 2), "Hz", FAINT, size=11)
        if self._channel is not None:
            write(self._pen, (6, self._marks + 2), f"channel {self._channel}", INK)
        shade = Image.new("L", (COLUMNS, 1), 90)
        labelled = (*LOW_HZ, *HIGH_HZ) if self._height == HIGH else (LOW_HZ[0], LOW_HZ[3], *HIGH_HZ[::3])
        for hertz in (*LOW_HZ, *HIGH_HZ):
            y = round(self._y(hertz))
            self._image.paste(LINE, (LEFT, y), shade)
            self._pen.line((LEFT - 5, y, LEFT - 1, y), fill=INK)
            if hertz in labelled:
                text = f"{hertz:.0f}"
                write(self._pen, (LEFT - 8 - width_of(text, 11), y - 7), text, INK, size=11)
        for hertz in (0, 500, 2000):
            text, y = f"{hertz}", round(self._y(hertz))
            self._pen.line((LEFT - 5, y, LEFT - 1, y), fill=FAINT)
            write(self._pen, (LEFT - 8 - width_of(text, 11), y - 7 - (hertz == 0) * 4), text, FAINT, size=11)

    def _waveform(self) -> None:
        scale = self._scale
        middle = self._wave + WAVE / 2
        for tones, colour in ((self._tones, KEY_BACK), (self._refused, REFUSED_BACK)):
            for tone in tones:
                left, right = self._edges(tone)
                self._pen.rectangle((left, self._wave, right, self._wave + WAVE), fill=colour)
        self._pen.line((LEFT, middle, LEFT + COLUMNS, middle), fill=GRID)
        for x, (high, low) in enumerate(zip(self._seen.highest, self._seen.lowest, strict=True)):
            ends = [middle - float(sample) / scale * WAVE / 2 for sample in (high, low)]
            self._pen.line((LEFT + x, ends[0], LEFT + x, ends[1]), fill=SOUND)
        for y, text in (
            (self._wave, f"{scale:g}"),
            (middle - 7, "0"),
            (self._wave + WAVE - 13, f"-{scale:g}"),
        ):
            write(self._pen, (LEFT - 8 - width_of(text, 11), y), text, FAINT, size=11)
        write(self._pen, (6, self._wave), "of full", FAINT, size=11)
        write(self._pen, (6, self._wave + 13), "scale", FAINT, size=11)
        self._pen.rectangle((LEFT, self._wave, LEFT + COLUMNS, self._wave + WAVE), outline=FAINT)

    def _time_axis(self) -> None:
        seconds = self._end - self._start
        step = next((step for step in TICKS if seconds / step <= 21), math.ceil(seconds / 21 / 3600) * 3600)
        digits = 0 if step >= 1 else 3 if step < 0.01 else 2 if step < 0.1 else 1
        first = math.ceil(self._start / step - 1e-9)
        for n in range(first, math.floor(self._end / step + 1e-9) + 1):
            x = self._x(n * step)
            self._pen.line((x, self._axis, x, self._axis + 4), fill=INK)
            text = clock(n * step, self._length, digits).removesuffix(" s")
            width = width_of(text, 12)
            place = min(max(x - width / 2, LEFT), LEFT + COLUMNS - width)
            write(self._pen, (place, self._axis + 5), text, INK, size=12)
        unit = "s" if self._length < 60 else "min:s" if self._length < 3600 else "h:min:s"
        write(self._pen, (6, self._axis + 4), f"time, {unit}", FAINT, size=11)

    def _edges(self, tone: Tone | Refused) -> tuple[float, float]:
        left, right = self._x(tone.start_s), self._x(tone.end_s)
        return left, max(right, left + 1)

    def _keys(self) -> None:
        """Each key with its frames; where they stand too close together, their digits as one word."""
        for tone in self._tones:
            left, right = self._edges(tone)
            for hertz in key_tones(tone.digit):
                reach = 1.5 * STEP_HZ
                self._pen.rectangle(
                    (left, self._y(hertz + reach), right, self._y(hertz - reach)), outline=FRAME
                )
        middles = [sum(self._edges(tone)) / 2 for tone in self._tones]
        words: list[list[int]] = []
        for n in range(len(middles)):
            if words and middles[n] - middles[n - 1] < 14:
                words[-1].append(n)
            else:
                words.append([n])
        starts = [middles[word[0]] for word in words] + [float(WIDTH)]
        numbers = False
        for at, (word, (x, after)) in enumerate(zip(words, pairwise(starts), strict=True)):
            if len(word) > 1:
                text = "".join(self._tones[n].digit for n in word)
                room = after - x - 4
                while len(text) > 1 and width_of(text + "..", 16) > room and width_of(text, 16) > room:
                    text = text[:-1]
                whole = len(text) == len(word)
                write(self._pen, (x - 4, self._marks), text if whole else f"{text}..", KEY, size=16)
                continue
            tone = self._tones[word[0]]
            before = middles[word[0] - 1] if word[0] else -100.0
            room = min(after - x, x - before)
            size = 20 if room >= 16 else 16
            write(self._pen, (x - width_of(tone.digit, size) / 2, self._marks), tone.digit, KEY, size=size)
            values = f"{tone.level_dbm0:.1f}", _signed(tone.twist_db)
            if at and len(words[at - 1]) > 1:
                room = min(room, after - x)
            if room >= 36:
                numbers = True
                for line, value in enumerate(values):
                    place = min(x - width_of(value, 11) / 2, WIDTH - width_of(value, 11) - 2)
                    write(self._pen, (place, self._marks + 27 + 14 * line), value, INK, size=11)
            elif room >= 14:
                sideways(self._image, (x - 6, self._marks + 25), values[0], INK)
        if numbers:
            for line, name in enumerate(("dBm0", "twist, dB")):
                write(self._pen, (6, self._marks + 27 + 14 * line), name, FAINT, size=11)

    def _reasons_why(self) -> None:
        if not self._refused:
            return
        write(self._pen, (6, self._reasons), "refused", REFUSED, size=11)
        edge = LEFT + COLUMNS
        for n, tone in enumerate(self._refused):
            left, right = self._edges(tone)
            self._pen.rectangle(
                (left, self._spectrum, right, self._spectrum + self._height - 1), outline=REFUSED_FRAME
            )
            self._pen.rectangle((left, self._reasons - GAP, right, self._reasons - 1), fill=REFUSED)
            after = self._refused[n + 2].start_s if n + 2 < len(self._refused) else None
            room = (edge if after is None else self._x(after)) - left - 4
            milliseconds = (tone.end_s - tone.start_s) * 1000
            text = (
                f"{NAMES.get(tone.reason, plain(tone.reason).replace('_', ' '))}: {milliseconds:.0f} ms, "
                f"{tone.level_dbm0:.1f} dBm0, twist {_signed(tone.twist_db)} dB"
            )
            write(self._pen, (left, self._reasons + n % 2 * 15), text, REFUSED, size=12, width=room)

    def _cover(self, one: Hidden) -> None:
        """A neutral band over whatever could tell a key."""
        left, right = self._x(one.start), max(self._x(one.end), self._x(one.start) + 1)
        self._pen.rectangle((left, self._spectrum, right, self._axis), fill=MASK)
        text = f"{one.keys} keys hidden"
        write(self._pen, (left + 4, self._spectrum + self._height / 2), text, BACK, width=right - left - 6)


def _signed(decibels: float) -> str:
    return f"{round(decibels, 1) + 0.0:+.1f}"  # there is no -0.0


def clock(seconds: float, length: float, digits: int) -> str:
    """A time in a recording of a length: in seconds, or as people read clocks where it is long."""
    if length < 60:
        return f"{seconds:.{digits}f} s"
    minutes, rest = divmod(round(seconds * 10**digits), 60 * 10**digits)
    clock = f"{rest / 10**digits:0{digits + 3 if digits else 2}.{digits}f}"
    if length < 3600:
        return f"{minutes}:{clock}"
    return f"{minutes // 60}:{minutes % 60:02}:{clock}"
