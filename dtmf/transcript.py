"""What was heard in a sound file, as people and programs read it: lines, JSON, Audacity's labels.

With ``mask`` every run of digits that may be a card number is hidden, in each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from dtmf.alignment import align
from dtmf.hearing import Heard, together
from dtmf.keypress import Tone
from dtmf.masking import HIDDEN, masked
from dtmf.refusal import Refused

__all__ = ["as_json", "as_labels", "as_line", "as_text", "difference"]


def as_text(name: str, heard: list[Heard], *, mask: bool = False) -> Iterator[str]:
    """One line per channel: ``call.wav: 5512345#``; near misses below it, one per line."""
    for one in heard:
        label = f"{name} (channel {one.channel})" if len(heard) > 1 else name
        yield f"{label}: {''.join(_digits(one.tones, mask)) or 'no keys'}"
        for miss in one.refused:
            yield (
                f"    {miss.start_s:.3f}-{miss.end_s:.3f} s refused: {_reason(miss)}, "
                f"{miss.level_dbm0:.1f} dBm0, twist {miss.twist_db:+.1f} dB"
            )


def as_json(name: str, one: Heard, *, refusals: bool = False, mask: bool = False) -> dict[str, Any]:
    """A channel as one object; ``refused`` is there only with ``refusals``."""
    digits = _digits(one.tones, mask)
    told: dict[str, Any] = {
        "file": name,
        "channel": one.channel,
        "duration_s": round(one.duration_s, 6),
        "digits": "".join(digits),
        "events": [
            {
                "digit": digit,
                "start_s": round(tone.start_s, 6),
                "end_s": round(tone.end_s, 6),
                "level_dbm0": tone.level_dbm0,
                "twist_db": tone.twist_db,
            }
            for digit, tone in zip(digits, one.tones, strict=True)
        ],
    }
    if refusals:
        told["refused"] = [
            {
                "reason": miss.reason,
                "start_s": round(miss.start_s, 6),
                "end_s": round(miss.end_s, 6),
                "level_dbm0": miss.level_dbm0,
                "twist_db": miss.twist_db,
            }
            for miss in one.refused
        ]
    return told


def as_line(told: dict[str, Any]) -> str:
    """An object as one line of JSON."""
    import json  # whoever wants text does not wait for it

    return json.dumps(told)


def as_labels(heard: list[Heard], *, mask: bool = False) -> str:
    """An Audacity label track: start and end in seconds, and the digit, set apart by tabs.

    The keys of all channels are in it, in the order of time; a near miss stands in brackets.
    """
    tones = together(heard)
    labels = [
        (tone.start_s, tone.end_s, digit) for tone, digit in zip(tones, _digits(tones, mask), strict=True)
    ]
    labels += [(miss.start_s, miss.end_s, f"({_reason(miss)})") for one in heard for miss in one.refused]
    return "".join(f"{start:.6f}\t{end:.6f}\t{text}\n" for start, end, text in sorted(labels))


def difference(expected: str, heard: list[Heard], *, mask: bool = False) -> str | None:
    """How the keys of all channels together differ from those expected; None if they do not.

    In the difference ``[-12-]`` was expected and not heard, ``{+3+}`` was heard and not expected. A digit
    heard in the place of a hidden one is hidden too: a card number misheard is one still.
    """
    digits = "".join(tone.digit for tone in together(heard))
    if digits == expected:
        return None
    pairs = align(expected, digits)
    wanted, got = list(expected), list(digits)
    if mask:
        wanted, got = list(masked(expected)), list(masked(digits))
        for left, right in pairs:
            if left is not None and right is not None and HIDDEN in (wanted[left], got[right]):
                wanted[left] = got[right] = HIDDEN
    text = ""
    for same, run in groupby(pairs, key=lambda p: None not in p and expected[p[0] or 0] == digits[p[1] or 0]):
        part = list(run)
        if same:
            text += "".join(wanted[left] for left, _ in part if left is not None)
            continue
        missed = "".join(wanted[left] for left, _ in part if left is not None)
        extra = "".join(got[right] for _, right in part if right is not None)
        text += (f"[-{missed}-]" if missed else "") + (f"{{+{extra}+}}" if extra else "")
    return f"expected {''.join(wanted) or 'no keys'}, heard {''.join(got) or 'no keys'}: {text}"


def _digits(tones: list[Tone], mask: bool) -> list[str]:
    digits = "".join(tone.digit for tone in tones)
    return list(masked(digits) if mask else digits)


def _reason(miss: Refused) -> str:
    return miss.reason.replace("_", " ")
