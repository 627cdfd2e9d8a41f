"""Tones that are not taken for keys: told to who wants to know, on the clock of the audio heard."""

from __future__ import annotations

import numpy as np
import pytest

from ivr_sim.media import PCMU


@pytest.fixture
def curious(listener):
    """A listener that also wants to know of refusals."""

    class Curious(listener):
        def __init__(self, speech=None):
            super().__init__(speech)
            self.refused = []

        def key_refused(self, method, start, duration_ms, reason, level_dbm0, twist_db):
            self.refused.append((method, start, duration_ms, reason, level_dbm0, twist_db))

    return Curious


@pytest.fixture
def line(engine, listener):
    """Somebody speaks, and a listener hears it; in between, ``events`` is the payload type agreed upon."""

    def make(speech, hearer):
        a, b = engine.open(), engine.open()
        a.start(listener(speech), PCMU, ("127.0.0.1", b.local_port), 101)
        b.start(hearer, PCMU, ("127.0.0.1", a.local_port), 101)
        return a, b

    return make


def test_short_keys(line, curious, ticks, tones):
    hearer = curious()
    line(tones("159", tone_ms=22, gap_ms=100, lead_ms=333, tail_ms=200), hearer)
    ticks(60)
    assert hearer.events == []
    assert [(r[0], r[3]) for r in hearer.refused] == [("inband", "too_short")] * 3
    for n, (_, start, duration_ms, _, level, twist) in enumerate(hearer.refused):
        # 40 ms wait to be played out, and one frame is on its way.
        assert abs(start - (0.333 + 0.122 * n + 0.06)) < 0.025
        assert abs(duration_ms - 22) < 5
        assert abs(level + 10) < 1.5
        assert abs(twist) < 1
    heard = np.flatnonzero(np.abs(hearer.heard) > 1000)[0] / 8000
    assert abs(heard - hearer.refused[0][1]) < 0.01


def test_twist_is_told_of_keys_that_are_taken(engine, listener, line, ticks, tones):
    class Keeper(listener):
        def key_up(self, digit, method, start, duration_ms, level_dbm0, twist_db=None):
            self.events.append((digit, twist_db))

    hearer = Keeper()
    line(tones("5"), hearer)
    ticks(30)
    [(digit, twist)] = [event for event in hearer.events if event[0] != "down"]
    assert digit == "5"
    assert abs(twist) < 0.5


def test_who_does_not_want_to_know_is_not_told(line, listener, ticks, tones):
    hearer = listener()
    _, stream = line(tones("159", tone_ms=22, gap_ms=100, tail_ms=200), hearer)
    ticks(60)
    assert hearer.events == []
    assert not stream.closed


def test_a_listener_that_fails_loses_its_own_stream(line, curious, ticks, tones):
    class Broken(curious):
        def key_refused(self, *refused):
            raise RuntimeError("no")

    speaker, stream = line(tones("159", tone_ms=22, gap_ms=100, tail_ms=200), Broken())
    errors = []
    stream.on_error = errors.append
    ticks(60)
    assert stream.closed
    assert not speaker.closed
    assert [type(error) for error in errors] == [RuntimeError]


def test_once_telephone_events_were_seen_tones_say_nothing(line, curious, ticks, tones):
    hearer = curious()
    speaker, _ = line(tones("159", tone_ms=22, gap_ms=100, lead_ms=600, tail_ms=200), hearer)
    ticks(5)
    speaker.press("3", 100)
    ticks(100)
    assert [event[1] for event in hearer.events] == ["3", "3"]
    assert hearer.refused == []
