"""The dialogue's rules that are no row of its table: times to the tick, barge-in, typing ahead, limits."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from ivr_sim.dialogue import Limits
from ivr_sim.dialogue.services import (
    AcquirerFailed,
    AlreadyPaid,
    AuthorizerFailed,
    Declined,
    Refusal,
    Unknown,
)
from ivr_sim.journal import ChargeSent, EntryAccepted, EntryRefused, KeyPressed, PromptEnded, PromptStarted

from .conftest import CATALOGUE, PAYABLE

VISA = "4111111111111111"
GOOD = {
    "ask_key": "123456#",
    "ask_accept": "1",
    "ask_card": VISA,
    "ask_expiry": "1228",
    "ask_cvv": "123",
}
QUESTIONS = {
    "ask_key": "payment_key",
    "ask_accept": "accept",
    "ask_card": "card_number",
    "ask_expiry": "expiry",
    "ask_cvv": "cvv",
    "ask_another_card": "another_card",
}
CARD_STEPS = ("ask_card", "ask_expiry", "ask_cvv")


def prompts(journal) -> list[str]:
    return [e.name for e in journal.of(PromptStarted)]


def ticks(journal, event) -> int:
    """When an event happened."""
    return round(journal.time_of(event) * 50)


# Times ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", QUESTIONS)
def test_silence_is_8_s_and_15_for_a_card_to_the_tick(stage, journal, prompt):
    stage.acquirer.results = [Declined(error_code=3001)]
    stage.play({**GOOD, prompt: ["", "!"]})
    ended = next(e for e in journal.of(PromptEnded) if e.name == prompt)
    [refused] = journal.of(EntryRefused)
    assert (refused.field, refused.reason) == (QUESTIONS[prompt], "silence")
    seconds = 15 if prompt in CARD_STEPS else 8
    assert ticks(journal, refused) - ticks(journal, ended) == seconds * 50


@pytest.mark.parametrize(
    ("prompt", "keyed"), [("ask_key", "12"), ("ask_card", "41"), ("ask_expiry", "12"), ("ask_cvv", "1")]
)
def test_a_pause_is_4_s_and_6_for_a_card_to_the_tick(stage, journal, prompt, keyed):
    """Counted from the moment at which the last key was let go."""
    stage.play({**GOOD, prompt: [keyed, "!"]})
    [refused] = journal.of(EntryRefused)
    before = [e for e in journal.of(KeyPressed) if ticks(journal, e) <= ticks(journal, refused)]
    seconds = 6 if prompt in CARD_STEPS else 4
    assert ticks(journal, refused) - ticks(journal, before[-1]) == seconds * 50


def test_the_last_moment_is_in_time(stage, journal):
    """A key that goes down in the last tick counts, though it is let go after the time-out."""
    stage.delay = 7.98
    assert stage.play({**GOOD, "ask_key": "123456#"}).outcome == "approved"
    assert not journal.of(EntryRefused)


@pytest.mark.parametrize("prompt", ["ask_key", "ask_card"])
def test_ten_minutes_to_the_tick(stage, journal, prompt):
    stage.limits = Limits(first_digit=1000.0, card_first_digit=1000.0)
    ending = stage.play({**GOOD, prompt: ""})
    assert (ending.outcome, ending.cause) == ("no_input", "time_limit")
    [said] = [e for e in journal.of(PromptStarted) if e.name == "time_limit"]
    assert ticks(journal, said) == 600 * 50


def test_every_limit_is_a_setting(stage, journal):
    stage.limits = Limits(
        first_digit=1.0, digit=2.0, card_first_digit=3.0, card_digit=2.5, tries=2, payment_keys=2, cards=2,
        key_length=5,
    )  # fmt: skip
    stage.keys.answers["54321"] = PAYABLE
    stage.acquirer.results = [Declined(error_code=c) for c in (3001, 3003)]
    ending = stage.play(
        {
            "ask_key": ["1234#", "99999", "54321"],
            "ask_accept": ["", "1"],
            "ask_card": ["41", VISA, "", VISA],
            "ask_expiry": ["1228"] * 2,
            "ask_cvv": ["123"] * 2,
            "ask_another_card": ["1"],
        }
    )
    assert (ending.outcome, ending.cause) == ("declined", "code_3003")
    assert stage.keys.asked == ["99999", "54321"]
    assert [(e.field, e.reason) for e in journal.of(EntryRefused)] == [
        ("payment_key", "too_short"), ("accept", "silence"), ("card_number", "too_short"),
        ("card_number", "silence"),
    ]  # fmt: skip
    assert stage.call.now < 55


@pytest.mark.parametrize(("key_length", "asked"), [(None, ["123456789012"]), (6, ["123456"])])
def test_a_payment_key_ends_by_length_only_where_it_has_one(stage, key_length, asked):
    stage.limits = Limits(key_length=key_length)
    stage.keys.pending = Deferred()
    stage.service_seconds = 3.0
    stage.keys.answers["123456789012"] = PAYABLE
    assert stage.play({**GOOD, "ask_key": "123456789012#"}).outcome == "approved"
    assert stage.keys.asked == asked


# Barge-in ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["welcome", "amount", *QUESTIONS])
def test_a_prompt_stops_in_the_very_tick_of_the_key(stage, journal, prompt):
    stage.on_start = True
    stage.acquirer.results = [Declined(error_code=3001)]
    stage.play({**GOOD, prompt: ["5!"]})
    assert_cut_by_its_first_key(journal, prompt)


@pytest.mark.parametrize(
    ("prompt", "question"),
    [("bad_key", "ask_key"), ("bad_choice", "ask_accept"), ("bad_card", "ask_card"),
     ("bad_expiry", "ask_expiry"), ("bad_cvv", "ask_cvv")],
)  # fmt: skip
def test_what_is_said_of_an_error_stops_too(stage, journal, prompt, question):
    """Behind a silence; what is keyed in one go with the error is another matter."""
    stage.on_start = True
    stage.play({**GOOD, question: "", prompt: "5!"})
    assert_cut_by_its_first_key(journal, prompt)


def test_what_is_said_of_a_refused_key_stops_too(stage, journal):
    stage.on_start = True
    stage.keys.pending, stage.service_seconds = Deferred(), 2.0
    stage.play({"ask_key": "999999#", "key_refused": "5!"})
    assert_cut_by_its_first_key(journal, "key_refused")


def assert_cut_by_its_first_key(journal, prompt: str) -> None:
    started = next(e for e in journal.of(PromptStarted) if e.name == prompt)
    ended = next(e for e in journal.of(PromptEnded) if e.name == prompt)
    assert ended.cut_by == "key"
    pressed = [round(e.start * 50) for e in journal.of(KeyPressed)]
    assert ticks(journal, ended) == next(p for p in pressed if p >= ticks(journal, started))


UNINTERRUPTIBLE = {
    "one_moment": {},
    "approved": {},
    "declined": {"result": Declined(error_code=3001)},
    "already_paid": {"result": AlreadyPaid()},
    "unknown_outcome": {"result": Unknown()},
    "openpay_failed": {"result": AcquirerFailed("connect")},
    "authorizer_failed": {"answer": AuthorizerFailed("timeout")},
    "key_refused": {"answer": Refusal(code=3, description="Clave pagada"), "payment_keys": 1},
    "rejected": {"ask_accept": "2"},
    "too_many_tries": {"ask_card": ["1#"] * 3},
    "time_limit": {"ask_card": "", "card_first_digit": 1000.0},
    "goodbye": {},
}


@pytest.mark.parametrize("keys", ["1", "2", "15#*", "#", "!"])
@pytest.mark.parametrize("prompt", UNINTERRUPTIBLE)
def test_keys_change_nothing_while_a_result_or_a_farewell_is_said(stage, journal, prompt, keys):
    """The same call twice, with keys and without: the same is said, at the same time, to the same end."""
    more = dict(UNINTERRUPTIBLE[prompt])
    stage.on_start = True
    if "result" in more:
        stage.acquirer.results = [more.pop("result")] * 2
    else:
        stage.acquirer.results *= 2
    stage.keys.answers["123456"] = more.pop("answer", PAYABLE)
    stage.limits = Limits(
        card_first_digit=more.pop("card_first_digit", 15.0), payment_keys=more.pop("payment_keys", 3)
    )
    script = {**GOOD, "ask_another_card": "2", **more}
    first = stage.play(script)
    undisturbed = [
        (r.event, r.t) for r in journal.records if isinstance(r.event, PromptStarted | PromptEnded)
    ]
    journal.records.clear()
    second = stage.play({**script, prompt: keys})
    heard = [(r.event, r.t) for r in journal.records if isinstance(r.event, PromptStarted | PromptEnded)]
    if keys == "!" and prompt == "one_moment":
        assert second.outcome == "abandoned"
        assert not stage.acquirer.attempts[1:]
    else:
        assert second == first
    if keys == "!":
        assert heard[-1][0] == PromptEnded(name=prompt, cut_by="hangup")
        assert heard[:-1] == undisturbed[: len(heard) - 1]
    else:
        assert heard == undisturbed


# Typing ahead -----------------------------------------------------------------------------------


@pytest.mark.parametrize("habit", ["", "#"])
def test_all_that_can_be_typed_ahead(stage, journal, habit):
    """Key and answer at once, the whole card at once; with # behind each entry, or without."""
    stage.on_start = True
    stage.limits = Limits(key_length=6)
    ending = stage.play({"welcome": "123456" + habit, "amount": habit.join(["1", VISA, "1228", "123", ""])})
    assert ending.outcome == "approved"
    assert not journal.of(EntryRefused)
    assert stage.acquirer.cards[0].security_code.reveal() == "123"


def test_a_card_in_one_go_is_asked_for_once(stage, journal):
    stage.on_start = True
    ending = stage.play({**GOOD, "ask_card": VISA + "1228" + "123", "ask_expiry": "", "ask_cvv": ""})
    assert ending.outcome == "approved"
    # The first key of each step finds its prompt just begun, or not yet.
    assert all(e.cut_by == "key" for e in journal.of(PromptEnded) if e.name in CARD_STEPS)


@pytest.mark.parametrize("ahead", ["1", "1#", "11", "1" + VISA + "1228123"])
def test_what_was_typed_before_the_amount_is_forgotten(stage, journal, ahead):
    """The merchant takes long; whatever is keyed meanwhile, the amount is said and asked about."""
    stage.keys.pending = Deferred()
    stage.service_seconds = 6.5
    stage.play({"ask_key": "123456#" + ahead})
    assert prompts(journal)[:4] == ["welcome", "ask_key", "amount", "ask_accept"]
    assert [e.field for e in journal.of(EntryAccepted)] == ["payment_key"]
    assert not stage.acquirer.attempts


@pytest.mark.parametrize(
    ("nth", "script"), [(1, {"ask_key": "123456#1"}), (2, {"ask_key": "123456#", "ask_accept": ["31", ""]})]
)
def test_what_is_typed_before_the_amount_can_be_heard_does_not_accept(stage, journal, nth, script):
    """The voice takes a second for the amount, the first time or when it is to be said again."""
    told = stage.sounds.sound

    async def sound(phrase):
        if phrase.name == "amount" and stage.sounds.texts.count(CATALOGUE.text(phrase)) == nth - 1:
            stage.keys.pending = Deferred()
            await stage.keys.pending
        return await told(phrase)

    stage.sounds.sound, stage.service_seconds = sound, 1.0
    stage.play(script)
    assert prompts(journal).count("amount") == nth + 2  # and twice more, for silence
    assert "1" not in [e.value for e in journal.of(EntryAccepted)]


@pytest.mark.parametrize(
    ("prompt", "keyed", "right"),
    [
        ("ask_key", "0123#" + "1" + "4111", "123456#"),
        ("ask_card", "4111111111111112" + "1228" + "123", VISA),
        ("ask_card", "41#" + "1228#" + "123#", VISA),
        ("ask_expiry", "1328" + "123", "1228"),
        ("ask_cvv", "1#" + "159", "123"),
    ],
)
def test_what_is_typed_behind_an_error_is_forgotten_to_its_end(stage, journal, prompt, keyed, right):
    """It goes on while the error is said: it neither cuts what is said nor answers anything."""
    stage.on_start = True
    stage.delay = 1.6  # into the question itself
    assert stage.play({**GOOD, prompt: [keyed, right]}).outcome == "approved"
    [refused] = journal.of(EntryRefused)
    assert refused.field == QUESTIONS[prompt]
    said = [(e.name, e.cut_by) for e in journal.of(PromptEnded)]
    error = next(n for n, (name, _) in enumerate(said) if name.startswith("bad_"))
    assert said[error][1] is None


def test_what_is_typed_behind_a_refused_key_is_no_other_key(stage, journal):
    """A card typed ahead must not be sent to the merchant for a payment key."""
    stage.keys.pending, stage.service_seconds = Deferred(), 0.5
    stage.play({"ask_key": "999999#" + "1" + VISA + "1228" + "123"})
    assert stage.keys.asked == ["999999"]
    assert [e.cut_by for e in journal.of(PromptEnded) if e.name == "key_refused"] == [None]


def test_after_a_pause_of_a_second_keys_count_again(stage, journal):
    stage.on_start = True
    stage.play({**GOOD, "ask_key": "1#", "bad_key": "123456#", "ask_accept": "2"})
    assert stage.keys.asked == []
    stage.delay = 1.02
    stage.play({**GOOD, "ask_key": ["1#", ""], "bad_key": "123456#", "ask_accept": "2"})
    assert stage.keys.asked == ["123456"]


# Tries and repetitions --------------------------------------------------------------------------


def test_tries_are_counted_for_each_question_by_itself(stage, journal):
    """Two wrong entries at each question, for each of three keys and cards."""
    stage.acquirer.results = [Declined(error_code=3001)] * 2 + stage.acquirer.results
    wrong_card = ["4#", "4#"]
    ending = stage.play(
        {
            "ask_key": ["0#", "#", "999999#"] * 2 + ["#", "#", "123456#"],
            "ask_accept": ["7", "8", "3", "7", "8", "3", "7", "8", "1"],
            "ask_card": [*wrong_card, VISA] * 3,
            "ask_expiry": ["1328", "#", "1228"] * 3,
            "ask_cvv": ["1#", "", "123"] * 3,
            "ask_another_card": ["7", "#", "1"] * 2,
        }
    )
    assert ending.outcome == "approved"
    assert len(journal.of(EntryRefused)) == 2 * (3 + 3 + 3 * 3 + 2)


@pytest.mark.parametrize("result", [Unknown(), AlreadyPaid(), AcquirerFailed("connect")])
def test_nothing_is_charged_after_what_may_have_been_charged(stage, journal, result):
    """Nor offered: only a decline leads to another card."""
    stage.acquirer.results = [result] * 3
    stage.play({k: [v] * 3 for k, v in {**GOOD, "ask_another_card": "1"}.items()})
    assert stage.acquirer.attempts == ["attempt-1"]
    assert "ask_another_card" not in prompts(journal)


def test_every_try_has_an_attempt_of_its_own_for_the_same_order(stage, journal):
    stage.acquirer.results = [Declined(error_code=3001)] * 3
    stage.play({k: [v] * 3 for k, v in {**GOOD, "ask_another_card": "1"}.items()})
    sent = journal.of(ChargeSent)
    assert [e.attempt for e in sent] == ["attempt-1", "attempt-2", "attempt-3"]
    assert {(e.order_id, str(e.amount)) for e in sent} == {("ord-1", "200.00")}


# What is said -----------------------------------------------------------------------------------


def test_amount_and_description_are_said(stage):
    stage.play(GOOD)
    [said] = [text for text in stage.sounds.texts if text.startswith("Va a pagar")]
    assert "doscientos pesos" in said
    assert "Cargo IVR" in said


def test_the_authorisation_number_is_said_digit_by_digit_and_twice(stage):
    stage.play(GOOD)
    [said] = [text for text in stage.sounds.texts if "aprobado" in text]
    assert said.count("ocho, cero, uno, cinco, ocho, cinco") == 2


@pytest.mark.parametrize(
    ("key", "payable", "shown"),
    [("999999", False, "999999"), ("411111", False, None), ("411111", True, "411111"),
     ("123456", False, "123456"), ("222100", False, None), ("699999", False, None)],
)  # fmt: skip
def test_a_refused_key_that_could_begin_a_card_is_not_shown(stage, journal, key, payable, shown):
    stage.keys.answers = {key: PAYABLE if payable else Refusal(code=1, description="No")}
    stage.play({"ask_key": [key + "#", "!"], "ask_accept": "!"})
    [accepted] = journal.of(EntryAccepted)
    assert (accepted.field, accepted.length, accepted.value) == ("payment_key", 6, shown)
    assert len(stage.call.key_spans()[1]) == (7 if shown else 0)
