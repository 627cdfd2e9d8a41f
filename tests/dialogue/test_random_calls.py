"""Random calls on the virtual clock: all that must hold of them does, and would be seen if it did not."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from ivr_sim.call import phrase
from ivr_sim.clients import Cashier, OpenpayAcquirer, acquirer
from ivr_sim.dialogue import entry, payment
from ivr_sim.dialogue.services import AlreadyPaid, Approved, Unknown
from ivr_sim.journal import EntryAccepted
from ivr_sim.ledger import Intent
from ivr_sim.legs import LegCall
from ivr_sim.legs.keys import CallerKeys

from .conftest import PAYABLE
from .random_calls.running import SEED, Broken, runner

SHARDS, CALLS = 4, 300  # `make soak` plays 10,000
ENOUGH = 1000  # calls in which a planted bug must be found


@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_calls(shard):
    """A failure tells the world's name, and the command that plays it again."""
    with runner() as run:
        run.play_calls(SEED, shard * CALLS, CALLS)
        assert run.counts["call", "calls"] >= CALLS


def test_a_world_is_a_function_of_its_name():
    with runner() as run:
        first, second, other = (run.play(f"{SEED}-{number}") for number in (7, 7, 8))
    assert [r.as_json() for r in first.records] == [r.as_json() for r in second.records]
    assert len(first.records) > 10
    assert [r.event for r in first.records] != [r.event for r in other.records]


# Bugs put in on purpose, and what finds them ------------------------------------------------------


def _charges_again(monkeypatch):
    charge = OpenpayAcquirer.charge

    async def twice(self, *args, **named):
        result = await charge(self, *args, **named)
        return await charge(self, *args, **named) if isinstance(result, Unknown) else result

    monkeypatch.setattr(OpenpayAcquirer, "charge", twice)


def _tells_before_it_is_settled(monkeypatch):
    charge = Cashier.charge
    take = payment._charge

    async def hasty(call, shop, payable, card):
        async def telling(self, *args, **named):
            await call.say(phrase("approved", authorization="801901"), interruptible=False)
            return await charge(self, *args, **named)

        monkeypatch.setattr(Cashier, "charge", telling)
        return await take(call, shop, payable, card)

    monkeypatch.setattr(payment, "_charge", hasty)


def _takes_silence_for_approval(monkeypatch):
    async def hopeful(self):
        return Approved(charge_id="tr1", authorization="801901")

    monkeypatch.setattr(acquirer._Try, "reconcile", hopeful)


def _takes_1006_for_paid(monkeypatch):
    async def sure(self):
        return AlreadyPaid()

    monkeypatch.setattr(acquirer._Try, "_order_has_a_charge", sure)


def _looks_once(monkeypatch):
    monkeypatch.setattr(acquirer, "LOOKS", 1)


def _opens_the_ledger_afterwards(monkeypatch):
    async def careless(self, payable, card, *, attempt, call):
        try:
            return await self._acquirer.charge(payable, card, attempt=attempt)
        finally:
            entry = self._ledger.open(
                Intent(
                    attempt=attempt,
                    account=self._account,
                    call=call,
                    order_id=payable.order_id,
                    amount=payable.amount,
                )
            )
            self._look_after(entry)

    monkeypatch.setattr(Cashier, "charge", careless)


def _forgets_what_came_of_it(monkeypatch):
    async def careless(self, entry, found):
        return True

    monkeypatch.setattr(Cashier, "_write", careless)


def _takes_nothing_up(monkeypatch):
    async def idle(self):
        pass

    monkeypatch.setattr(Cashier, "start", idle)


def _times_out_a_tick_early(monkeypatch):
    restart = LegCall._restart_timer

    def early(self):
        restart(self)
        self._deadline -= 1

    monkeypatch.setattr(LegCall, "_restart_timer", early)


def _times_out_while_a_key_is_held(monkeypatch):
    monkeypatch.setattr(CallerKeys, "held", False)


def _publishes_the_card(monkeypatch):
    ask = entry.card_number
    monkeypatch.setattr(payment, "card_number", lambda shop: replace(ask(shop), secret=False))


def _shows_refused_keys(monkeypatch):
    monkeypatch.setattr(payment, "may_begin_a_card", lambda digits: False)


def _logs_messages(monkeypatch):
    monkeypatch.setattr(payment, "place", str)


def _flushes_nothing(monkeypatch):
    monkeypatch.setattr(LegCall, "flush", lambda self, **named: None)


def _lets_results_be_cut(monkeypatch):
    say = LegCall.say
    monkeypatch.setattr(LegCall, "say", lambda self, *said, interruptible=True: say(self, *said))


def _is_slow_to_stop(monkeypatch):
    def slow(self, digit, method, start):
        speech, self._speech = self._speech, type(self._speech)(self._journal, lambda: None)
        try:
            press(self, digit, method, start)
        finally:
            self._speech = speech

    press = LegCall.key_down
    monkeypatch.setattr(LegCall, "key_down", slow)


def _knows_no_limit(monkeypatch):
    monkeypatch.setattr(LegCall, "_too_long", False)


BUGS = {
    _charges_again: "charged_once",
    _tells_before_it_is_settled: "told_after_it_is_settled",
    _takes_silence_for_approval: "approved_is_completed",
    _takes_1006_for_paid: "nothing_was_charged_where_that_was_said already_paid_is_paid",
    _looks_once: "nothing_was_charged_where_that_was_said the_ledger_has_the_truth",
    _opens_the_ledger_afterwards: "in_the_ledger_before_it_leaves",
    _forgets_what_came_of_it: "the_ledger_has_the_truth",
    _takes_nothing_up: "the_ledger_has_the_truth",
    _times_out_a_tick_early: "time_outs_are_exact",
    _times_out_while_a_key_is_held: "time_outs_are_exact",
    _publishes_the_card: "nothing_leaks what_is_published_was_entered",
    _shows_refused_keys: "nothing_leaks",
    _logs_messages: "nothing_leaks",
    _flushes_nothing: "no_charge_without_acceptance",
    _lets_results_be_cut: "keys_cut_what_they_may_and_nothing_else",
    _is_slow_to_stop: "keys_cut_what_they_may_and_nothing_else",
    _knows_no_limit: "the_limit_is_kept it_ends",
}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__[1:])
def test_a_bug_is_found(bug, monkeypatch):
    bug(monkeypatch)
    with runner() as run:
        found = (broken for number in count() if (broken := _broken(run, number)) is not None)
        # Which invariant it breaks first is chance; the one that tells of it, it breaks soon.
        told = next(broken for broken in found if broken.invariants & set(BUGS[bug].split()))
    assert f"to play it again: .venv/bin/python -m tests.dialogue.random_calls {SEED}-" in str(told)


def _broken(run, number):
    assert run.counts["call", "calls"] < ENOUGH, "not found"
    try:
        run.play(f"{SEED}-{number}")
    except Broken as broken:
        return broken
    return None


# What random calls have found ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyed", "shown"),
    [
        (["506199#", "94282908#"], [None, None]),  # a card number, keyed in two
        (["9#", "94282908#"], [None]),
        (["178917#", "94282908#"], ["178917", None]),  # its beginning, keyed at once, was forgotten
        (["506199#", "123456#"], [None, "123456"]),  # the merchant knows this one
    ],
)
def test_the_rest_of_a_card_is_not_shown_as_a_payment_key(stage, journal, keyed, shown):
    stage.keys.answers = {"123456": PAYABLE}
    stage.play({"ask_key": [*keyed, "!"], "amount": "!"})
    assert [e.value for e in journal.of(EntryAccepted)] == shown
    assert len(stage.call.key_spans()[1]) == sum(len(value) + 1 for value in shown if value)
