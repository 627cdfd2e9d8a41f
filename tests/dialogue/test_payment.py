"""Every ending of the conversation, and its rules, on ticks alone."""

from __future__ import annotations

import json

import pytest
from twisted.internet.defer import Deferred

from ivr_sim.dialogue import Limits
from ivr_sim.dialogue.services import (
    AcquirerFailed,
    AlreadyPaid,
    Approved,
    AuthorizerFailed,
    Declined,
    Refusal,
    Unknown,
)
from ivr_sim.journal import (
    AuthorizerReplied,
    ChargeSent,
    ChargeSettled,
    EntryAccepted,
    EntryRefused,
    KeyPressed,
    PromptEnded,
    PromptStarted,
)

VISA = "4111111111111111"
GOOD = {
    "ask_key": "123456#",
    "ask_accept": "1",
    "ask_card": VISA,
    "ask_expiry": "1228",
    "ask_cvv": "123",
}


def prompts(journal) -> list[str]:
    return [e.name for e in journal.of(PromptStarted)]


def test_approved(stage, journal):
    ending = stage.play(GOOD)
    assert (ending.outcome, ending.cause) == ("approved", None)
    assert prompts(journal) == [
        "welcome", "ask_key", "amount", "ask_accept", "ask_card", "ask_expiry", "ask_cvv",
        "one_moment", "approved", "goodbye",
    ]  # fmt: skip
    assert stage.keys.asked == ["123456"]
    card = stage.acquirer.cards[0]
    assert card.number.reveal() == VISA
    assert (card.expiry.year, card.expiry.month, card.security_code.reveal()) == (2028, 12, "123")
    accepted = {e.field: e.value for e in journal.of(EntryAccepted)}
    assert accepted == {
        "payment_key": "123456", "accept": "1", "card_number": None, "expiry": None, "cvv": None,
    }  # fmt: skip
    [sent] = journal.of(ChargeSent)
    [settled] = journal.of(ChargeSettled)
    assert (sent.order_id, str(sent.amount), sent.attempt) == ("ord-1", "200.00", "attempt-1")
    assert (settled.result, settled.charge_id, settled.attempt) == ("approved", "trx1", "attempt-1")
    assert len(journal.of(KeyPressed)) == 7 + 1 + 16 + 4 + 3


def test_no_secret_digit_in_the_journal(stage, journal):
    stage.play(GOOD)
    written = "\n".join(json.dumps(r.as_json()) for r in journal.records)
    assert VISA not in written
    assert "1228" not in written
    assert '"123"' not in written
    secret, published = stage.call.key_spans()
    assert len(published) == len("123456#") + len("1")
    assert len(secret) == 16 + 4 + 3


def test_rejected(stage, journal):
    ending = stage.play({**GOOD, "ask_accept": "2"})
    assert ending.outcome == "rejected"
    assert prompts(journal)[-2:] == ["rejected", "goodbye"]
    assert not stage.acquirer.attempts


def test_the_amount_is_said_again_on_3(stage, journal):
    ending = stage.play({**GOOD, "ask_accept": ["3", "3", "3", "3", "1"]})
    assert ending.outcome == "approved"
    assert prompts(journal).count("amount") == 5


def test_unknown_key_then_right_key(stage, journal):
    ending = stage.play({**GOOD, "ask_key": ["999999#", "123456#"]})
    assert ending.outcome == "approved"
    assert [e.cause for e in journal.of(AuthorizerReplied)] == ["refused", "ok"]
    [refused] = [e for e in journal.of(PromptStarted) if e.name == "key_refused"]
    assert refused.params == {"description": "Clave de pago inválida"}


def test_three_refused_keys_end_the_call(stage, journal):
    stage.keys.answers["777777"] = Refusal(code=3, description="Clave pagada")
    ending = stage.play({"ask_key": ["999999#", "888888#", "777777#", "123456#"]})
    assert (ending.outcome, ending.cause) == ("key_refused", "code_3")
    assert stage.keys.asked == ["999999", "888888", "777777"]


@pytest.mark.parametrize(
    ("keyed", "reason"),
    [
        ("012345#", "leading_zero"),
        ("123#", "too_short"),
        ("1234567890123#", "too_long"),
        (VISA + "#", "too_long"),
        ("12A456#", "not_digits"),
        ("#", "empty"),
        ("", "silence"),
    ],
)
def test_wrong_payment_keys_make_no_request(stage, journal, keyed, reason):
    ending = stage.play({**GOOD, "ask_key": [keyed, "123456#"]})
    assert ending.outcome == "approved"
    assert stage.keys.asked == ["123456"]
    assert [(e.field, e.reason) for e in journal.of(EntryRefused)] == [("payment_key", reason)]
    assert {e.name: e.params for e in journal.of(PromptStarted)}["bad_key"] == {"reason": reason}


def test_a_refused_entry_stays_secret(stage, journal):
    """A card number keyed where the payment key belongs is neither journalled nor audible."""
    stage.play({**GOOD, "ask_key": [VISA + "#", "123456#"]})
    assert VISA[:12] not in "\n".join(json.dumps(r.as_json()) for r in journal.records)
    assert len(stage.call.key_spans()[0]) == 17 + 16 + 4 + 3


def test_a_pause_ends_the_payment_key(stage, journal):
    ending = stage.play({**GOOD, "ask_key": "123456"})
    assert ending.outcome == "approved"


def test_the_key_length_ends_the_payment_key_and_swallows_the_hash(stage, journal):
    stage.limits = Limits(key_length=6)
    ending = stage.play(GOOD)
    assert ending.outcome == "approved"
    assert not journal.of(EntryRefused)
    assert prompts(journal).count("amount") == 1


def test_star_starts_the_entry_over(stage):
    ending = stage.play({**GOOD, "ask_key": "99*123456#", "ask_card": "4242*" + VISA})
    assert ending.outcome == "approved"
    assert stage.keys.asked == ["123456"]
    assert stage.acquirer.cards[0].number.reveal() == VISA


@pytest.mark.parametrize(
    ("cause", "status"),
    [("dns", None), ("connect", None), ("tls", None), ("timeout", None), ("status", 500),
     ("not_json", 200), ("bad_fields", 200)],
)  # fmt: skip
def test_authorizer_failed_ends_the_call_and_says_which(stage, journal, cause, status):
    stage.keys.answers["123456"] = AuthorizerFailed(cause, status=status, ms=12)
    ending = stage.play(GOOD)
    assert (ending.outcome, ending.cause) == ("authorizer_failed", cause)
    assert prompts(journal)[-2:] == ["authorizer_failed", "goodbye"]
    [replied] = journal.of(AuthorizerReplied)
    assert (replied.cause, replied.status, replied.ms) == (cause, status, 12)
    assert not stage.acquirer.attempts


def test_silence_ends_in_no_input(stage, journal):
    ending = stage.play({})
    assert (ending.outcome, ending.cause) == ("no_input", "payment_key")
    assert [e.reason for e in journal.of(EntryRefused)] == ["silence"] * 3
    assert prompts(journal)[-2:] == ["too_many_tries", "goodbye"]


@pytest.mark.parametrize(
    ("prompt", "field", "wrong", "reason"),
    [
        ("ask_accept", "accept", "7", "not_a_choice"),
        ("ask_card", "card_number", "4111111111111112", "luhn"),
        ("ask_expiry", "expiry", "1025", "expired"),
        ("ask_expiry", "expiry", "1327", "month"),
        ("ask_cvv", "cvv", "12#", "cvv_length"),
    ],
)
def test_three_wrong_entries_end_in_no_input(stage, journal, prompt, field, wrong, reason):
    ending = stage.play({**GOOD, prompt: [wrong] * 3})
    assert (ending.outcome, ending.cause) == ("no_input", field)
    assert [(e.field, e.reason) for e in journal.of(EntryRefused)] == [(field, reason)] * 3
    assert not stage.acquirer.attempts


def test_a_wrong_card_is_asked_for_again(stage, journal):
    ending = stage.play({**GOOD, "ask_card": ["4111111111111112", VISA]})
    assert ending.outcome == "approved"


def test_american_express_has_fifteen_digits_and_a_longer_code(stage, journal):
    ending = stage.play({**GOOD, "ask_card": "341111111111111", "ask_cvv": "1234"})
    assert ending.outcome == "approved"
    assert {e.name: e.params for e in journal.of(PromptStarted)}["ask_cvv"] == {"digits": "4"}


def test_only_allowed_cards_are_taken(stage, journal):
    stage.allowed = lambda number: number.is_one_of([VISA])
    ending = stage.play({**GOOD, "ask_card": ["4242424242424242", VISA]})
    assert ending.outcome == "approved"
    assert [e.reason for e in journal.of(EntryRefused)] == ["not_test_card"]


def test_declined_after_three_cards(stage, journal):
    stage.acquirer.results = [Declined(error_code=c) for c in (3001, 3003, 3004)]
    again = {k: [v] * 3 for k, v in GOOD.items()}
    ending = stage.play({**again, "ask_another_card": ["1", "1"]})
    assert (ending.outcome, ending.cause) == ("declined", "code_3004")
    assert stage.acquirer.attempts == ["attempt-1", "attempt-2", "attempt-3"]
    assert [e.params["code"] for e in journal.of(PromptStarted) if e.name == "declined"] == [
        "3001", "3003", "3004",
    ]  # fmt: skip


def test_declined_then_approved_with_another_card(stage):
    stage.acquirer.results.insert(0, Declined(error_code=3001))
    again = {k: [v] * 2 for k, v in GOOD.items()}
    assert stage.play({**again, "ask_another_card": "1"}).outcome == "approved"


@pytest.mark.parametrize("reply", ["2", "", "!"])
def test_declined_and_no_other_card(stage, reply):
    stage.acquirer.results = [Declined(error_code=3001)]
    ending = stage.play({**GOOD, "ask_another_card": reply})
    assert (ending.outcome, ending.cause) == ("declined", "code_3001")


def test_already_paid(stage, journal):
    stage.acquirer.results = [AlreadyPaid(charge_id="trx0")]
    ending = stage.play(GOOD)
    assert (ending.outcome, ending.cause) == ("key_refused", "already_paid")
    assert "already_paid" in prompts(journal)


def test_unknown_and_failed_charges_are_told_apart(stage, journal):
    stage.acquirer.results = [Unknown()]
    assert stage.play(GOOD).outcome == "unknown"
    assert "unknown_outcome" in prompts(journal)


def test_openpay_failed(stage, journal):
    stage.acquirer.results = [AcquirerFailed("connect")]
    ending = stage.play(GOOD)
    assert (ending.outcome, ending.cause) == ("openpay_failed", "connect")


@pytest.mark.parametrize("prompt", ["ask_key", "ask_accept", "ask_card", "ask_expiry", "ask_cvv"])
def test_abandoned_at_each_step(stage, prompt):
    ending = stage.play({**GOOD, prompt: "4!"})
    assert (ending.outcome, ending.cause) == ("abandoned", "hung_up")
    assert not stage.acquirer.attempts


def test_a_charge_under_way_is_awaited_though_the_caller_has_gone(stage, journal):
    stage.acquirer.pending = Deferred()
    stage.acquirer.pending.addCallback(lambda _: stage.call.hung_up())
    ending = stage.play(GOOD)
    assert ending.outcome == "approved"
    assert "approved" not in prompts(journal)
    assert [e.result for e in journal.of(ChargeSettled)] == ["approved"]


def test_a_hang_up_during_the_result_does_not_change_it(stage, journal):
    stage.on_start = True
    ending = stage.play({**GOOD, "approved": "!"})
    assert ending.outcome == "approved"
    assert journal.of(PromptEnded)[-1] == PromptEnded(name="approved", cut_by="hangup")


def test_keys_barge_in_and_typing_ahead_works_across_steps(stage, journal):
    """One run of keys into the welcome, one into the amount: each prompt stops at the next key."""
    stage.on_start = True
    ending = stage.play({"welcome": "123456#", "amount": "1" + VISA + "1228" + "123"})
    assert ending.outcome == "approved"
    assert not journal.of(EntryRefused)
    cut = [(e.name, e.cut_by) for e in journal.of(PromptEnded)]
    assert cut == [
        ("welcome", "key"), ("amount", "key"), ("ask_card", "key"), ("ask_expiry", "key"),
        ("ask_cvv", "key"), ("one_moment", None), ("approved", None), ("goodbye", None),
    ]  # fmt: skip


def test_what_was_typed_before_the_amount_never_accepts_it(stage, journal):
    """The authorizer takes five seconds; meanwhile the caller types on."""
    stage.on_start = True
    stage.keys.pending = Deferred()
    stage.service_seconds = 4.9
    ending = stage.play({"welcome": "123456#1" + VISA, "ask_accept": "2"})
    assert ending.outcome == "rejected"
    assert len(journal.of(KeyPressed)) == 7 + 17 + 1
    assert not journal.of(EntryRefused)
    assert not stage.acquirer.attempts


def test_ten_minutes_end_the_call(stage, journal):
    ending = stage.play({**GOOD, "ask_accept": ["3"] * 1000})
    assert (ending.outcome, ending.cause) == ("no_input", "time_limit")
    assert prompts(journal)[-2:] == ["time_limit", "goodbye"]
    assert 600 <= stage.call.now < 605


def test_a_declined_charge_is_not_forgotten_when_the_code_expires(stage):
    """The security code goes with its charge: the next card is asked for whole."""
    stage.acquirer.results = [Declined(error_code=3001), Approved(charge_id="t", authorization="1")]
    again = {k: [v] * 2 for k, v in GOOD.items()}
    stage.play({**again, "ask_another_card": "1", "ask_cvv": ["123", "321"]})
    assert [c.security_code.reveal() for c in stage.acquirer.cards] == ["123", "321"]


@pytest.mark.parametrize(
    ("lost", "outcome", "cause"),
    [
        ("amount", "abandoned", "no_voice"),
        ("one_moment", "abandoned", "no_voice"),
        ("approved", "approved", None),
    ],
)
def test_a_phrase_without_a_sound_never_hides_what_was_charged(stage, lost, outcome, cause):
    stage.sounds.lost = lost
    ending = stage.play(GOOD)
    assert (ending.outcome, ending.cause) == (outcome, cause)
    assert len(stage.acquirer.attempts) == (1 if outcome == "approved" else 0)


def test_the_result_is_said_though_its_particulars_cannot(stage, journal):
    """The voice fails while the charge is under way: what ships is said instead."""
    stage.sounds.lost_with_params = "approved"
    ending = stage.play(GOOD)
    assert ending.outcome == "approved"
    [said] = [e for e in journal.of(PromptStarted) if e.name == "approved"]
    assert said.params == {}


def test_a_charge_that_breaks_unforeseen_is_unknown(stage, journal, capsys):
    """Nobody knows what was charged: the caller is warned, and no card number is in the log."""
    stage.acquirer.results = [RuntimeError(f"card {VISA}")]
    ending = stage.play(GOOD)
    assert ending.outcome == "unknown"
    assert [e.result for e in journal.of(ChargeSettled)] == ["unknown"]
    assert prompts(journal)[-2:] == ["unknown_outcome", "goodbye"]
    logged = capsys.readouterr().out
    assert "RuntimeError" in logged
    assert VISA not in logged


@pytest.mark.parametrize("seconds", [100.0, 650.0])
def test_the_result_is_said_whole_however_long_the_charge_took(stage, journal, seconds):
    stage.acquirer.pending = Deferred()
    stage.service_seconds = seconds
    ending = stage.play(GOOD)
    assert ending.outcome == "approved"
    assert [(e.name, e.cut_by) for e in journal.of(PromptEnded)][-2:] == [
        ("approved", None),
        ("goodbye", None),
    ]


def test_the_time_limit_after_a_decline_is_said(stage, journal):
    stage.acquirer.pending = Deferred()
    stage.acquirer.results = [Declined(error_code=3001)]
    stage.service_seconds = 650.0
    ending = stage.play(GOOD)
    assert (ending.outcome, ending.cause) == ("declined", "code_3001")
    assert prompts(journal)[-4:] == ["declined", "ask_another_card", "time_limit", "goodbye"]
    assert [e.cut_by for e in journal.of(PromptEnded)][-4:] == [None, "limit", None, None]


@pytest.mark.parametrize("letters", ["ABCD", "4A11111111111111", "A#", "41111111111111D1"])
def test_letters_of_a_sixteen_key_pad_are_a_wrong_card(stage, journal, letters):
    ending = stage.play({**GOOD, "ask_card": [letters, VISA]})
    assert ending.outcome == "approved"
    assert len(journal.of(EntryRefused)) == 1


@pytest.mark.parametrize(
    ("refusal", "text"),
    [
        (Refusal(code=2, description=""), "No es posible pagar con esa clave."),
        (Refusal(code=2, description="<br> \n"), "No es posible pagar con esa clave."),
        (Refusal(code=2, description="Clave vencida."),
         "No es posible pagar con esa clave. El comercio responde: Clave vencida."),
    ],
)  # fmt: skip
def test_a_refusal_is_a_whole_sentence_whatever_the_merchant_says(stage, refusal, text):
    stage.keys.answers["999999"] = refusal
    stage.play({**GOOD, "ask_key": ["999999#", "123456#"]})
    assert text in stage.sounds.texts


def test_a_card_that_is_no_test_card_is_told_so_by_us_and_by_openpay(stage):
    stage.allowed = lambda number: number.is_one_of([VISA])
    stage.acquirer.results = [Declined(error_code=2007)]
    stage.play({**GOOD, "ask_card": ["4242424242424242", VISA]})
    assert stage.sounds.texts.count("Este es un sistema de pruebas. Use solo tarjetas de prueba.") == 2
