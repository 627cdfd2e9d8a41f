"""What `dtmf check` found: lines for people, JSON, JUnit.

With ``mask``, runs that may be a card number are hidden in whatever is written. A card of which a digit was
misheard passes no check any more; so what lies beside a hidden digit of the other side is hidden, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from xml.etree import ElementTree

from dtmf.check import EXTRA, MISSED, Check, Judged
from dtmf.keypad import KEYS_16
from dtmf.masking import HIDDEN, mask_text, masked

__all__ = ["as_json", "as_junit", "confusion_table", "lines_of", "summary"]

_ORDER = "1234567890*#ABCD"  # of the table, as people count
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2


class _Edit(NamedTuple):
    """What was wrong with one digit; place: in the expected digits, from 1, before which it was imagined."""

    kind: str
    expected: str | None
    heard: str | None
    place: int
    start_s: float | None


class _Shown(NamedTuple):
    name: str
    expected: str
    heard: str
    problem: str | None
    edits: list[_Edit]


def _show(one: Judged, mask: bool) -> _Shown:
    """A recording as it may be shown."""
    expected, heard, problem = one.expected, one.heard, one.problem
    name = str(one.planned.file).encode(errors="replace").decode()  # bytes that are no text in the name
    if mask:
        name, problem = mask_text(name), problem and mask_text(problem)
        expected, heard = _mask_both(one)
    edits: list[_Edit] = []
    place = 0
    for left, right in one.pairs if one.problem is None else ():
        place += left is not None
        start = None if right is None else one.tones[right].start_s
        if left is None and right is not None:
            edits.append(_Edit("imagined", None, heard[right], place + 1, start))
        elif left is not None and right is None:
            edits.append(_Edit("missed", expected[left], None, place, None))
        elif left is not None and right is not None and one.expected[left] != one.heard[right]:
            edits.append(_Edit("mistaken", expected[left], heard[right], place, start))
    return _Shown(name, expected, heard, problem, edits)


def _mask_both(one: Judged) -> tuple[str, str]:
    """Expected and heard digits; hidden where either is hidden, and where something was imagined between."""
    if one.problem is not None:
        return masked(one.expected), masked(one.heard)
    expected, heard = masked(one.expected), masked(one.heard)
    hidden = [
        (left is not None and expected[left] == HIDDEN) or (right is not None and heard[right] == HIDDEN)
        for left, right in one.pairs
    ]
    shown: tuple[list[str], list[str]] = ([], [])
    for at, (left, right) in enumerate(one.pairs):
        if left is None:
            hidden[at] |= (at > 0 and hidden[at - 1]) or (at + 1 < len(hidden) and hidden[at + 1])
        if left is not None:
            shown[0].append(HIDDEN if hidden[at] else one.expected[left])
        if right is not None:
            shown[1].append(HIDDEN if hidden[at] else one.heard[right])
    return "".join(shown[0]), "".join(shown[1])


# For people --------------------------------------------------------------------------------------


def lines_of(one: Judged, *, mask: bool = False) -> Iterator[str]:
    """One line for a recording that is right or has a problem; with what was wrong, three for others."""
    shown = _show(one, mask)
    name = shown.name if one.planned.channel is None else f"{shown.name} (channel {one.planned.channel})"
    if one.problem is not None:
        yield f"error  {name}: {shown.problem}"
    elif one.right:
        yield f"right  {name}: {shown.expected or 'no keys'}"
    else:
        kinds = [edit.kind for edit in shown.edits]
        counts = [
            f"{kinds.count(kind)} {words}"
            for kind, words in (
                ("missed", "missed"),
                ("imagined", "imagined"),
                ("mistaken", "taken for another"),
            )
            if kind in kinds
        ]
        start = next((edit.start_s for edit in shown.edits if edit.start_s is not None), None)
        at = "" if start is None else f", at {start:.3f} s" + (" and later" if len(kinds) > 1 else "")
        yield f"wrong  {name}: {', '.join(counts)}{at}"
        yield "       expected  " + "".join(
            "-" if p.expected is None else shown.expected[p.expected] for p in one.pairs
        )
        yield "       heard     " + "".join(
            "-" if p.heard is None else shown.heard[p.heard] for p in one.pairs
        )


def summary(check: Check) -> Iterator[str]:
    """How many recordings and digits, the accuracy, and the verdict."""
    kinds = Counts.of(check)
    yield (
        f"{_count(kinds.recordings, 'recording')}: {kinds.right} right, {kinds.wrong} wrong"
        + (f", {kinds.error} that could not be judged" if kinds.error else "")
    )
    yield (
        f"{_count(check.expected, 'digit')} expected: {check.right} heard right, {check.missed} missed, "
        f"{check.mistaken} taken for another; {check.imagined} imagined"
    )
    wanted = _percent(check.min_accuracy)
    yield f"accuracy {_percent(check.accuracy)}, at least {wanted} wanted: {check.verdict}"


def confusion_table(check: Check) -> Iterator[str]:
    """Expected digits downwards, heard ones across; none of either that did not occur."""
    expected, heard = ({pair[side] for pair in check.confusion} for side in (0, 1))
    rows = [row for row in (*_ORDER, EXTRA) if row in expected]
    columns = [column for column in (*_ORDER, MISSED) if column in heard]
    if not rows:
        return
    width = max(4, *(len(str(count)) + 1 for count in check.confusion.values()))
    widths = [max(width, len(column) + 1) for column in columns]
    yield "confusion: expected down, heard across"
    yield " " * 7 + "".join(f"{column:>{wide}}" for column, wide in zip(columns, widths, strict=True))
    for row in rows:
        cells = (f"{check.confusion[row, column] or '.'}" for column in columns)
        yield f"{row:>7}" + "".join(f"{cell:>{wide}}" for cell, wide in zip(cells, widths, strict=True))


def _percent(share: float) -> str:
    """Never rounded up: 100 % means all."""
    return f"{math.floor(share * 10_000 + 1e-9) / 100:.2f} %" if share < 1 else "100 %"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


class Counts(NamedTuple):
    """Recordings by what became of them."""

    recordings: int
    right: int
    wrong: int
    error: int

    @classmethod
    def of(cls, check: Check) -> Counts:
        right = sum(one.right for one in check.judged)
        error = sum(one.problem is not None for one in check.judged)
        return cls(len(check.judged), right, len(check.judged) - right - error, error)


# For programs ------------------------------------------------------------------------------------


def as_json(check: Check, *, mask: bool = False) -> dict[str, Any]:
    """The whole check as JSON takes it, version 1."""
    recordings = []
    for one in check.judged:
        shown = _show(one, mask)
        recordings.append(
            {
                "file": shown.name,
                "channel": one.planned.channel,
                "verdict": check.verdict_of(one),
                "expected": None if one.planned.digits is None else shown.expected,
                "heard": None if one.problem is not None else shown.heard,
                "edits": [edit._asdict() for edit in shown.edits],
                "reason": shown.problem,
            }
        )
    verdicts = [recording["verdict"] for recording in recordings]
    return {
        "v": 1,
        "verdict": check.verdict,
        "accuracy": check.accuracy,
        "min_accuracy": check.min_accuracy,
        "counts": {
            "recordings": len(recordings),
            **{verdict: verdicts.count(verdict) for verdict in ("pass", "warn", "fail", "error")},
        },
        "digits": {
            "expected": check.expected,
            "right": check.right,
            "missed": check.missed,
            "imagined": check.imagined,
            "mistaken": check.mistaken,
        },
        "confusion": {
            row: cells
            for row in (*KEYS_16, EXTRA)
            if (
                cells := {
                    column: check.confusion[row, column]
                    for column in (*KEYS_16, MISSED)
                    if check.confusion[row, column]
                }
            )
        },
        "recordings": recordings,
    }


def as_junit(check: Check, *, mask: bool = False) -> bytes:
    """The same for CI: a test case per recording; one that only warns passes, and says what was wrong."""
    verdicts = [check.verdict_of(one) for one in check.judged]
    suite = ElementTree.Element(
        "testsuite",
        name="dtmf check",
        tests=str(len(verdicts)),
        failures=str(verdicts.count("fail")),
        errors=str(verdicts.count("error")),
        skipped="0",
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("accuracy", check.accuracy), ("min_accuracy", check.min_accuracy)):
        ElementTree.SubElement(properties, "property", name=name, value=repr(value))
    for one, verdict in zip(check.judged, verdicts, strict=True):
        shown = _show(one, mask)
        name = _xml(shown.name)
        if one.planned.channel is not None:
            name += f" (channel {one.planned.channel})"
        case = ElementTree.SubElement(suite, "testcase", classname="dtmf.check", name=name)
        said = [_xml(line) for line in lines_of(one, mask=mask)]
        if verdict == "error":
            ElementTree.SubElement(case, "error", message=_xml(shown.problem or ""))
        elif verdict == "fail":
            ElementTree.SubElement(case, "failure", message=said[0]).text = "\n".join(said[1:])
        elif verdict == "warn":
            ElementTree.SubElement(case, "system-out").text = "\n".join(said)
    ElementTree.indent(suite)
    xml: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return xml


def _xml(text: str) -> str:
    return _NO_XML.sub("?", text)
