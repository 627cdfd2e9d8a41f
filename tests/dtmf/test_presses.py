"""From what is certain of a line to its presses: pairs of down and up, without echoes."""

from __future__ import annotations

import numpy as np

from dtmf.keypad import key_index
from dtmf.keypress import KeyDown, KeyUp
from dtmf.machine import DOWN, LOUDER, UP, Change
from dtmf.presses import Presses


def change(
    kind: int, at_ms: float, key: str = "5", *, line: int = 0, level: float = -10, begun: bool = True
) -> Change:
    """One change; its block ends 20 ms after its time."""
    return Change(
        np.array([line]),
        np.array([int(at_ms / 20) + 1]),
        np.array([kind], np.int8),
        np.array([key_index(key)], np.int8),
        np.array([at_ms * 8]),
        np.array([level], np.float32),
        np.array([-0.001], np.float32),
        np.array([begun]),
    )


def press(start_ms: float, end_ms: float, key: str = "5", **more: float) -> list[Change]:
    return [change(DOWN, start_ms, key, **more), change(UP, end_ms)]  # type: ignore[arg-type]


def told(*changes: Change) -> list[tuple[str, str, float]]:
    return [
        ("down", event.digit, event.start_s)
        if isinstance(event, KeyDown)
        else ("up", event.tone.digit, event.tone.end_s)
        for event in Presses().take(changes)
    ]


def test_nothing() -> None:
    assert Presses().take([]) == []


def test_a_press() -> None:
    down, up = Presses().take(press(100, 180))
    assert down == KeyDown(0, "5", 0.1, 0.14)
    assert isinstance(up, KeyUp)
    tone = up.tone
    assert (tone.digit, tone.start_s, tone.end_s, tone.level_dbm0) == ("5", 0.1, 0.18, -10.0)
    assert str(tone.twist_db) == "0.0"  # never -0.0


def test_an_echo_is_muted_and_known() -> None:
    """The same key, 14 dB down and more, within 0.3 s."""
    presses = Presses()
    events = presses.take([*press(100, 180), *press(350, 430, level=-25)])
    assert len(events) == 2
    [echo] = presses.echoes
    assert (echo.reason, echo.start_s, echo.end_s, echo.level_dbm0) == ("echo", 0.35, 0.43, -25)


def test_what_is_no_echo() -> None:
    first = press(100, 180)
    louder, later, other = (
        press(350, 430, level=-23),
        press(481, 560, level=-40),
        press(350, 430, "6", level=-40),
    )
    for second in (louder, later, other):
        assert len(told(*first, *second)) == 4


def test_an_echo_is_measured_by_its_key_not_by_another_echo() -> None:
    presses = Presses()
    events = presses.take([*press(100, 180), *press(300, 380, level=-30), *press(420, 470, level=-31)])
    assert len(events) == 2
    assert len(presses.echoes) == 2


def test_the_rest_of_a_tone_is_no_key() -> None:
    """No onset is seen: it was under louder sound for a while, and is told as one press."""
    assert len(told(*press(100, 180), *press(230, 300, begun=False))) == 2
    assert len(told(*press(100, 180), *press(230, 300))) == 4
    assert len(told(*press(100, 180), *press(400, 470, begun=False))) == 4


def test_louder_on_top_of_itself() -> None:
    """A key that is down does not begin again; over its own echo it does."""
    down, louder, up = change(DOWN, 100), change(LOUDER, 150), change(UP, 200)
    assert told(down, louder, up) == [("down", "5", 0.1), ("up", "5", 0.2)]
    echo = [*press(100, 180), change(DOWN, 350, level=-30), change(LOUDER, 400), change(UP, 480)]
    assert told(*echo)[2:] == [("down", "5", 0.4), ("up", "5", 0.48)]


def test_lines_are_told_in_the_order_of_time() -> None:
    changes = [
        change(DOWN, 300, "1", line=2),
        change(DOWN, 100, "2", line=7),
        change(UP, 400, line=2),
        change(UP, 200, line=7),
    ]
    events = Presses().take(changes)
    assert [(type(event), event.line) for event in events] == [
        (KeyDown, 7),
        (KeyUp, 7),
        (KeyDown, 2),
        (KeyUp, 2),
    ]


def test_a_new_call_has_no_echoes() -> None:
    presses = Presses()
    presses.take(press(100, 180))
    presses.reset(0)
    assert len(presses.take(press(200, 260, level=-40))) == 2
    assert presses.echoes == []


def test_no_press_is_empty_or_before_the_line_began() -> None:
    [down, up] = Presses().take([change(DOWN, -1), change(UP, -1)])
    assert isinstance(up, KeyUp)
    assert 0 == up.tone.start_s < up.tone.end_s
    assert down == KeyDown(0, "5", 0.0, 0.04)
