"""The number that says keys back, and the one that echoes: what is told of whom, and what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from ivr_sim.call import Phrase
from ivr_sim.dialogue import TRIED, Ending, echo_test, keypad_test
from ivr_sim.dialogue.keypad import CARD_LIKE, IN_A_ROW
from ivr_sim.errors import IvrSimError
from ivr_sim.journal import EntryAccepted, KeyPressed, PromptEnded, PromptStarted
from ivr_sim.legs import LegCall
from ivr_sim.prompts import Catalogue

SILENCE = np.zeros(160, np.int16)
CATALOGUE = Catalogue()
SECONDS = 0.2  # of every prompt


class Sounds:
    def __init__(self) -> None:
        self.lost = ""

    async def sound(self, phrase: Phrase) -> np.ndarray:
        assert CATALOGUE.text(phrase)
        if phrase.name == self.lost:
            raise IvrSimError("no voice")
        return np.ones(round(8000 * SECONDS), np.int16)


class Trial:
    """One call to a number for trying things out, ticked by hand."""

    def __init__(self, journal: Any, talk: Any = keypad_test, limit: float = 600.0) -> None:
        self.journal, self.sounds = journal, Sounds()
        self.call = LegCall(journal, "0001", self.sounds, limit=limit)
        self.endings: list[Ending] = []
        self.call.answered()
        self.talk = talk

    def start(self) -> Trial:
        Deferred.fromCoroutine(self.talk(self.call)).addCallback(self.endings.append)
        return self

    def tick(self, seconds: float) -> None:
        for _ in range(round(50 * seconds)):
            if self.call.gone is None:
                self.call.tick(SILENCE)

    def key(
        self, digit: str, by: str = "inband", level: float | None = -9.6, twist: float | None = 1.2
    ) -> None:
        """A key of 96 ms, and 100 ms of silence."""
        start = self.call.now
        self.call.key_down(digit, by, start)
        self.tick(0.1)
        self.call.key_up(digit, by, start, 96, level, twist)
        self.tick(0.1)

    def keys(self, digits: str) -> None:
        """A space is a pause of six seconds, in which what there is to say is said."""
        for digit in digits:
            if digit == " ":
                self.tick(6)
            else:
                self.key(digit)

    @property
    def values(self) -> list[str | None]:
        return [e.value for e in self.journal.of(EntryAccepted)]

    @property
    def told(self) -> list[tuple[str, dict[str, str]]]:
        return [(e.name, dict(e.params)) for e in self.journal.of(PromptStarted)]

    @property
    def pressed_told(self) -> str:
        return "".join(params["pressed"] for name, params in self.told if name == "keypad_key")


@pytest.fixture
def trial(journal: Any) -> Trial:
    return Trial(journal).start()


def test_a_key_is_said_back_with_how_it_came(trial: Trial) -> None:
    trial.tick(1)
    trial.key("5")
    trial.tick(3)
    trial.key("0", "rfc4733", -10.4, None)
    trial.tick(3)
    trial.key("*", "info", None, None)
    trial.tick(3)
    tone = {"pressed": "5", "method": "inband", "milliseconds": "100", "level": "-10", "twist": "1"}
    assert trial.told == [
        ("keypad", {}),
        ("keypad_key", tone),
        ("keypad_key", {"pressed": "0", "method": "rfc4733", "milliseconds": "96", "level": "-10"}),
        ("keypad_key", {"pressed": "*", "method": "info", "milliseconds": "96"}),
    ]
    assert trial.values == ["5", "0", "*"]
    assert [e.field for e in trial.journal.of(EntryAccepted)] == ["keypad"] * 3
    secret, published = trial.call.key_spans()
    assert (len(secret), len(published)) == (0, 3)


def test_figures_that_nobody_has_are_left_out(trial: Trial) -> None:
    trial.tick(1)
    trial.key("7", "inband", None, None)
    trial.tick(3)
    assert trial.told[1:] == [("keypad_key", {"pressed": "7", "milliseconds": "96"})]


def test_a_run_is_not_talked_over(trial: Trial) -> None:
    trial.tick(0.1)
    trial.keys("12#")
    assert trial.values == ["1", "2", "#"]
    assert trial.pressed_told == ""
    trial.tick(4)
    assert trial.pressed_told == "12#"
    assert trial.journal.of(PromptEnded)[0].cut_by == "key"


def test_a_key_cuts_what_is_said_of_others(trial: Trial) -> None:
    trial.tick(1)
    trial.keys("123")
    trial.tick(1)
    trial.keys("4")
    trial.tick(4)
    assert trial.values == ["1", "2", "3", "4"]
    assert trial.pressed_told in {"14", "124"}


def test_two_hashes_end_it(trial: Trial) -> None:
    trial.tick(1)
    trial.keys("5# #")
    assert trial.endings == []  # said back before the line is cut
    trial.tick(3)
    assert trial.endings == [Ending(TRIED)]
    assert trial.call.gone == "ivr"
    assert [name for name, _ in trial.told[-2:]] == ["keypad_key", "goodbye"]


def test_hashes_that_are_not_next_to_each_other_do_not(trial: Trial) -> None:
    trial.tick(1)
    trial.keys("#5#*#")
    trial.tick(5)
    assert trial.endings == []


def test_who_presses_nothing_is_asked_again(trial: Trial) -> None:
    trial.tick(65)
    assert [name for name, _ in trial.told] == ["keypad"] * 3
    assert trial.endings == []


def test_hung_up_and_time_limit_and_no_voice(journal: Any) -> None:
    gone = Trial(journal).start()
    gone.tick(1)
    gone.call.hung_up()
    assert gone.endings == [Ending(TRIED, "hung_up")]
    late = Trial(journal, limit=5).start()
    late.tick(8)
    assert late.endings == [Ending(TRIED, "time_limit")]
    dumb = Trial(journal)
    dumb.sounds.lost = "keypad"
    dumb.start().tick(2)
    assert dumb.endings == [Ending(TRIED, "no_voice")]


# Cards ------------------------------------------------------------------------------------------


def test_no_more_than_five_digits_in_a_row(trial: Trial) -> None:
    trial.tick(1)
    trial.keys("1234567890")
    trial.tick(10)
    assert trial.values == [*"12345", *[None] * 5]
    assert [name for name, _ in trial.told[1:]] == [
        "keypad_hides", *["keypad_key"] * 5, *["keypad_hidden_key"] * 5
    ]  # fmt: skip
    trial.keys("*67890")
    trial.tick(10)
    assert trial.values[10:] == [*"*67890"]
    secret, published = trial.call.key_spans()
    assert (len(secret), len(published)) == (5, 11)


def test_a_pause_starts_no_new_row(trial: Trial) -> None:
    trial.tick(1)
    trial.keys("5 1 0 5 1 0 5 1 0 5 1 0 5 1 0 0 ")
    assert trial.values == [*"51051", *[None] * 11]
    assert trial.pressed_told == "51051"


def test_behind_a_card_nothing_is_told_any_more(trial: Trial) -> None:
    trial.tick(1)
    trial.keys("5105105105105100# 0930# 073# 1*")
    trial.tick(5)
    assert trial.values == [*"51051", *[None] * 23]
    assert "keypad_hides_all" in [name for name, _ in trial.told]
    assert trial.pressed_told == "51051"
    trial.keys("##")
    trial.tick(3)
    assert trial.endings == [Ending(TRIED)]


def test_the_notice_is_said_however_much_is_keyed(trial: Trial) -> None:
    trial.tick(1)
    trial.keys("5105105105105100#0930#073#1234567890#1234567890")
    trial.tick(15)
    assert trial.values == [*"51051", *[None] * 42]
    assert [name for name, _ in trial.told[1:]] == ["keypad_hides_all", *["keypad_hidden_key"] * 24]


def test_what_is_hidden_says_only_the_way_it_came(trial: Trial) -> None:
    trial.tick(1)
    for by, level, twist in (("rfc4733", -10.0, None), ("info", None, None), ("inband", -9.2, 1.7)):
        for digit in "123456":
            trial.key(digit, by, level, twist)
        trial.key("#")
        trial.tick(8)
    assert [params for name, params in trial.told if name == "keypad_hidden_key"] == [
        {"method": "rfc4733"}, {"method": "info"}, {"method": "inband"}
    ]  # fmt: skip
    assert len({e.level_dbm0 for e in trial.journal.of(KeyPressed) if e.method == "inband"}) == 1


@given(st.text("0123456789*# ", max_size=60))
@settings(deadline=None, max_examples=60)
def test_whatever_is_keyed(keyed: str) -> None:
    """Never six digits of one row, and none behind what may be a card; told is what is journalled."""
    from ivr_sim.journal import Journal

    class Kept(Journal):
        def __init__(self) -> None:
            super().__init__(lambda: None)  # type: ignore[arg-type,return-value]
            self.events: list[Any] = []
            self.subscribe(lambda record: self.events.append(record.event))

        def of(self, kind: type) -> list[Any]:
            return [event for event in self.events if isinstance(event, kind)]

    trial = Trial(Kept()).start()
    trial.tick(0.5)
    trial.keys(keyed)
    trial.tick(20)
    pressed = keyed.replace(" ", "")
    values = trial.values
    row, silent = 0, False
    for digit, value in zip(pressed, values, strict=False):
        row = 0 if digit in "*#" else row + 1
        silent |= row >= CARD_LIKE
        assert value == (None if silent or row > IN_A_ROW else digit)
    assert len(values) == len(pressed) or trial.call.gone == "ivr"
    shown = "".join(value for value in values if value)
    assert len(trial.pressed_told) <= len(shown)
    _, published = trial.call.key_spans()
    assert len(published) == len(shown)


# The echo ---------------------------------------------------------------------------------------


def test_echo(journal: Any) -> None:
    trial = Trial(journal, echo_test).start()
    assert trial.call.echoing is None
    trial.tick(1)
    assert trial.call.echoing is not None
    assert trial.told == [("echo", {})]
    trial.keys("5105105105105100##")
    assert (trial.values, trial.endings) == ([], [])
    secret, published = trial.call.key_spans()
    assert (len(secret), published) == (18, [])
    trial.tick(600)
    assert trial.endings == [Ending(TRIED, "time_limit")]


def test_who_echoes_hangs_up(journal: Any) -> None:
    trial = Trial(journal, echo_test).start()
    trial.tick(1)
    trial.call.hung_up()
    assert trial.endings == [Ending(TRIED, "hung_up")]
