"""Callers by profile: what they do follows from what is given, and each can be told from the others."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from twisted.internet import reactor

from ivr_sim.harness.profile import Manner, card_keys, manner_of, steps_of
from ivr_sim.harness.replay import Manner as HowToReplay
from ivr_sim.harness.replay import Replayer
from ivr_sim.harness.scenario import CallerSettings, Case, HangUp, Hear, Press, Profile, Scenario, Wait
from ivr_sim.openpay import TEST_CARDS

PROFILES = get_args(Profile)
TO_THE_CARD = "ask_key 123456# ask_accept 1"
REST = "ask_expiry 1240 ask_cvv 123"


def caller(profile: str, *, given: dict | None = None, **settings: object) -> Scenario:
    return Scenario.model_validate(
        {"version": "1", "given": given or {}, "caller": {"profile": profile, **settings}}
    )


def told(scenario: Scenario) -> str:
    """The steps in one line: what is heard, what is keyed."""
    words = []
    for step in steps_of(scenario):
        match step:
            case Hear(hear=prompt, for_=None):
                words.append(prompt)
            case Hear(hear=prompt):
                words.append(f"into {prompt}")
            case Press(press=keys):
                words.append(keys)
            case Wait(wait=seconds):
                words.append(f"{seconds:g}s")
            case HangUp():
                words.append("gone")
    return " ".join(words)


@pytest.mark.parametrize(
    ("profile", "steps"),
    [
        ("fast", "ask_key 123456# ask_accept 1 ask_card 4111111111111111 ask_expiry 1240 ask_cvv 123"),
        ("slow", "ask_key 123456# ask_accept 1 ask_card 4111111111111111 ask_expiry 1240 ask_cvv 123"),
        ("hesitant", "ask_key 123 2.5s 456# ask_accept 1 ask_card 4111 2.5s 1111 2.5s 1111 2.5s 1111"
                     " ask_expiry 12 2.5s 40 ask_cvv 1 2.5s 2 2.5s 3"),
        ("interrupts", "into ask_key 123456# into amount 1 into ask_card 4111111111111111"
                       " into ask_expiry 1240 into ask_cvv 123"),
        ("corrects", "ask_key 123*123456# ask_accept 1 ask_card 41111111*4111111111111111"
                     " ask_expiry 12*1240 ask_cvv 1*123"),
        ("silent", "ask_key"),
        ("hangs_up", "into ask_key gone"),
    ],
)  # fmt: skip
def test_each_profile_has_its_way(profile, steps):
    assert told(caller(profile)) == steps


@pytest.mark.parametrize(
    ("given", "accept", "steps"),
    [
        ({"key": "98765432"}, "2", "ask_key 98765432# ask_accept 2"),
        ({"card": "amex-approved"}, "1",
         "ask_key 123456# ask_accept 1 ask_card 345678000000007 ask_expiry 1240 ask_cvv 1234"),
        ({"card": "visa-declined"}, "1",
         f"{TO_THE_CARD} ask_card 4222222222222220 {REST} ask_another_card 2"),
        ({"card": ["visa-declined", "mastercard-approved"]}, "1",
         f"{TO_THE_CARD} ask_card 4222222222222220 {REST} ask_another_card 1"
         f" ask_card 5555555555554444 {REST}"),
        ({"state": "cancelled"}, "1", "ask_key 123456# ask_key 123456# ask_key 123456#"),
    ],
)  # fmt: skip
def test_what_is_given_decides_what_is_keyed(given, accept, steps):
    assert told(caller("fast", given=given, accept=accept)) == steps


@pytest.mark.parametrize(
    ("profile", "at", "steps"),
    [
        ("silent", "welcome", "welcome"),
        ("silent", "ask_accept", "ask_key 123456# ask_accept"),
        ("hangs_up", "ask_expiry",
         "ask_key 123456# ask_accept 1 ask_card 4111111111111111 into ask_expiry gone"),
        ("hangs_up", "one_moment",
         f"{TO_THE_CARD} ask_card 4111111111111111 {REST} into one_moment gone"),
    ],
)  # fmt: skip
def test_some_stop_at_a_prompt(profile, at, steps):
    assert told(caller(profile, at=at)) == steps


def test_a_prompt_that_is_not_on_the_way_is_refused():
    with pytest.raises(ValueError, match=r"never hears declined; on its way are welcome, ask_key, amount"):
        steps_of(caller("silent", at="declined"))
    with pytest.raises(ValueError, match="never hears amount"):
        steps_of(caller("hangs_up", at="amount", given={"state": "paid"}))


def test_written_steps_are_left_alone():
    scenario = Scenario.model_validate({"version": "1", "steps": [{"hear": "ask_key"}, "hang_up"]})
    assert steps_of(scenario) == scenario.steps


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_has_its_manner_and_settings_go_before_it(profile):
    own = manner_of(CallerSettings(profile=profile))
    changed = manner_of(CallerSettings(profile=profile, key_ms=50, gap_ms=40, delay=0.0))
    assert changed == Manner(delay=0.0, key_ms=50, gap_ms=40)
    assert own != changed
    assert manner_of(CallerSettings(profile=profile, key_ms=50)).gap_ms == own.gap_ms


def test_no_caller_pauses_so_long_that_an_entry_counts_as_whole():
    """4 seconds between two digits of an entry; 8 until the first."""
    for profile in PROFILES:
        scenario = caller(profile, given={"card": ["visa-lost", "amex-approved"]})
        manner = manner_of(scenario.caller)
        pauses = [step.wait for step in steps_of(scenario) if isinstance(step, Wait)]
        assert max(pauses, default=0) + manner.gap_ms / 1000 < 4
        assert manner.delay < 8


@pytest.mark.parametrize("card", TEST_CARDS, ids=lambda card: card.name)
def test_what_is_keyed_of_a_card(card):
    keys = card_keys(card.name)
    assert keys.number == card.number
    assert len(keys.cvv) == (4 if card.brand == "american_express" else 3)


@pytest.fixture(scope="module")
def outcome_of(on_reactor, tmp_path_factory):
    """Holds the call of a scenario in virtual time; what came of it."""
    replayer = Replayer(reactor, HowToReplay(data=tmp_path_factory.mktemp("data")))

    def hold(scenario: Scenario) -> str:
        verdict = on_reactor(replayer.replay, Case("x", scenario, Path("x.call.yaml"))).verdict
        return verdict.outcome or verdict.reason

    yield hold
    on_reactor(replayer.stop)


@pytest.mark.parametrize("profile", ["fast", "slow", "hesitant", "interrupts", "corrects"])
def test_every_caller_who_wants_to_pay_pays(outcome_of, profile):
    assert outcome_of(caller(profile, given={"card": "amex-approved"})) == "approved"


@pytest.mark.parametrize("at", ["welcome", "amount", "ask_card", "one_moment"])
def test_who_hangs_up_before_the_card_is_charged_pays_nothing(outcome_of, at):
    """one_moment is said before the charge leaves."""
    assert outcome_of(caller("hangs_up", at=at)) == "abandoned"


def test_what_was_charged_stays_charged(outcome_of):
    assert outcome_of(caller("hangs_up", at="approved")) == "approved"


@pytest.mark.parametrize("at", ["amount", "ask_cvv"])
def test_who_falls_silent_is_given_up(outcome_of, at):
    assert outcome_of(caller("silent", at=at)) == "no_input"


@pytest.mark.parametrize("state", ["expired", "missing"])
def test_a_key_that_cannot_be_paid_is_refused(outcome_of, state):
    assert outcome_of(caller("fast", given={"state": state})) == "key_refused"
