"""What must hold of every call and of every world, whatever is keyed, answered or lost.

``Witness`` looks on while a world is played: what is said is judged by what is so at Openpay in that moment.
The functions below it judge a call, or the world, afterwards. Each yields what is wrong with it, in words;
its name is the invariant's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields

from ivr_sim.dialogue import Outcome
from ivr_sim.dialogue.entry import RUN
from ivr_sim.journal import (
    AuthorizerReplied,
    CallEnded,
    ChargeReconciled,
    ChargeSent,
    ChargeSettled,
    EntryAccepted,
    EntryRefused,
    Event,
    PromptEnded,
    PromptStarted,
    Record,
)

from . import wallet
from .caller import Stroke
from .clock import TICKS
from .world import RandomCall, World

# What says, or means, that this call has charged nothing.
NOTHING_CHARGED = ("authorizer_failed", "openpay_failed", "rejected", "declined", "already_paid")
OUTCOMES = {
    "approved": "approved",
    "declined": "declined",
    "already_paid": "key_refused",
    "unknown": "unknown",
    "failed": "openpay_failed",
}
SAID = {
    "approved": "approved",
    "declined": "declined",
    "already_paid": "already_paid",
    "unknown": "unknown_outcome",
    "failed": "openpay_failed",
}
FAREWELLS = ("goodbye", "rejected", "too_many_tries", "time_limit", "authorizer_failed")
UNINTERRUPTIBLE = ("one_moment", *SAID.values(), *FAREWELLS)
CUT_WITHIN = 3  # ticks from a key's detection to the end of the prompt
SERVICES = 320 * TICKS  # the longest that look-up, earlier charges and a charge may take in all
WRITING = 3.0  # seconds that the ledger may take at the most, in these worlds
MEASURES = ("ms", "start", "duration_ms", "level_dbm0", "length", "status")
Findings = Iterator[str]


class Witness:
    """Looks on. ``wrong``: (call, invariant, what) so far."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._unsettled: dict[str, ChargeSent] = {}
        self._settled: dict[str, ChargeSettled] = {}
        self._left: set[str] = set()
        self._asked: dict[str, float] = {}
        self.wrong: list[tuple[str, str, str]] = []
        world.journal.subscribe(self._sees)
        world.on_leave = self._charge_leaves

    def _charge_leaves(self, attempt: str) -> None:
        call = attempt.rpartition("/")[0]
        entry = next((e for e in self._world.entries() if e.attempt == attempt), None)
        # Another call may have been told meanwhile that the order is paid elsewhere: this charge cannot be.
        if entry is None or entry.result not in (None, "already_paid"):
            self._tell(call, "in_the_ledger_before_it_leaves", f"{attempt} leaves, its entry is {entry}")
        if attempt in self._left:
            self._tell(call, "charged_once", f"{attempt} is sent again")
        self._left.add(attempt)

    def _sees(self, record: Record) -> None:
        event, call = record.event, record.call or ""
        match event:
            case ChargeSent():
                self._unsettled[call] = event
                self._settled.pop(call, None)
            case ChargeSettled():
                self._unsettled.pop(call, None)
                self._settled[call] = event
            case AuthorizerReplied():
                self._asked[call] = self._world.clock.seconds()
            case PromptStarted():
                for invariant, what in self._false(call, event):
                    self._tell(call, invariant, what)

    def _false(self, name: str, said: PromptStarted) -> Iterator[tuple[str, str]]:
        world = self._world
        call = next(c for c in world.calls if c.name == name)
        settled = self._settled.get(name)
        if name in self._unsettled:
            yield "told_after_it_is_settled", f"{said.name} while a charge is under way"
        order = call.desk.payable[-1] if call.desk.payable else None
        match said.name:
            case "approved":
                paid = settled and world.openpay.paid_by(settled.attempt)
                if not paid or not settled or settled.result != "approved":
                    yield "approved_is_completed", f"approved, but the charge is {paid}, {settled}"
                elif said.params.get("authorization") != paid.authorization and not call.sounds.lost:
                    yield "approved_with_its_authorization", f"{said.params} is not {paid.authorization}"
            case "declined" | "openpay_failed" if settled is not None:
                word = "failed" if said.name == "openpay_failed" else "declined"
                if settled.result != word:
                    yield "told_after_it_is_settled", f"{said.name}, but settled is {settled}"
            case "declined":
                yield "told_after_it_is_settled", "declined, but no charge was made"
            case "already_paid":
                if order is None or not world.openpay.completed(order.order_id):
                    yield "already_paid_is_paid", "already_paid, but no charge of the order is completed"
            case "unknown_outcome":
                if order is None or self._known(call, order.order_id):
                    yield "unknown_is_not_known", "unknown_outcome, but Openpay told what came of it"
            case "amount":
                assert order is not None
                right = {"amount": str(order.amount), "currency": "MXN", "description": order.description}
                if dict(said.params) not in ([right] if not call.sounds.lost else [right, {}]):
                    yield "the_amount_is_the_authorizers", f"{dict(said.params)} is not {right}"

    def _known(self, call: RandomCall, order_id: str) -> bool:
        """Whether all that was tried for an order is known to this process.

        Of this call's own charges: the ledger says so. Of others': Openpay told, before this call asked, and
        it could be written down.
        """
        process = self._world.process
        told = {at for at, second in process.line.told.items() if second + WRITING < self._asked[call.name]}
        known = told - process.line.crashed - process.unwritten
        return all(
            entry.attempt in known
            if entry.call != call.name
            else entry.result is not None and entry.attempt not in process.line.crashed
            for entry in self._world.entries()
            if entry.order_id == order_id
        )

    def _tell(self, call: str, invariant: str, what: str) -> None:
        self.wrong.append((call, invariant, what))


# Of one call --------------------------------------------------------------------------------------


def _events(call: RandomCall, *kinds: type[Event]) -> list[tuple[int, Event]]:
    """The call's events of these kinds, with their ticks."""
    return [
        (round((r.t or 0) * TICKS), r.event) for r in call.records if not kinds or isinstance(r.event, kinds)
    ]


def it_ends(call: RandomCall) -> Findings:
    if call.error is not None:
        yield f"by an error: {call.error!r}"
    if call.ending is None or call.error is not None:
        return
    if call.ending.outcome not in set(Outcome):
        yield f"in {call.ending}"
    if call.call.gone is None or call.call.waiting:
        yield f"but is not gone, or somebody waits: {call.call.gone}, {call.call.waiting}"
    if len(_events(call, CallEnded)) != 1:
        yield "not once"
    if call.call.tick_now > call.limit * TICKS + SERVICES:
        yield f"after {call.call.now} s, the limit was {call.limit} s"


def the_outcome_is_the_charges(call: RandomCall) -> Findings:
    """Each charge is settled, none follows anything but a decline, and the last one is the outcome."""
    sent = [e.attempt for _, e in _events(call, ChargeSent)]
    settled = [e for _, e in _events(call, ChargeSettled)]
    results = [e.result for e in settled]
    if len(set(sent)) != len(sent) or len(sent) > 3:
        yield f"attempts {sent}"
    if set(results[:-1]) - {"declined"}:
        yield f"a charge after {results[:-1]}"
    if call.ending is None:
        return
    if sent != [e.attempt for e in settled]:
        yield f"{sent} sent, {settled} settled"
    outcome = call.ending.outcome
    if results and results[-1] != "declined" and outcome != OUTCOMES[results[-1]]:
        yield f"{outcome} after {results}"
    if not results and (
        outcome in ("approved", "declined") or (outcome == "unknown" and not call.ending.cause)
    ):
        yield f"{outcome} without a charge"
    if (
        results
        and results[-1] == "declined"
        and outcome in ("approved", "unknown", "openpay_failed", "key_refused")
    ):
        yield f"{outcome} after {results}"


def the_result_is_told(call: RandomCall) -> Findings:
    """What came of a charge is said, once, if anybody is there to hear it."""
    said = [e.name for _, e in _events(call, PromptStarted)]
    results = [e.result for _, e in _events(call, ChargeSettled)]
    for word, name in SAID.items():
        if said.count(name) > results.count(word) + (not results):
            yield f"{name} is said {said.count(name)} times, results were {results}"
    if (
        results
        and call.call.gone == "ivr"
        and call.ending
        and SAID[results[-1]] not in said
        and not call.sounds.lost
    ):
        yield f"{results[-1]} is not told"


def nothing_was_charged_where_that_was_said(call: RandomCall) -> Findings:
    """Neither then nor ever after, by the charges that the call had sent so far."""
    sent: list[str] = []
    for tick, event in _events(call, PromptStarted, ChargeSent):
        if isinstance(event, ChargeSent):
            sent.append(event.attempt)
        elif event.name in NOTHING_CHARGED and (
            paid := [p for a in sent if (p := call.world.openpay.paid_by(a))]
        ):
            yield f"{event.name} at {tick / TICKS} s, but {paid}"


def no_charge_without_acceptance(call: RandomCall) -> Findings:
    """A 1 whose key went down after the amount began to be said, then card, expiry and security code."""
    sent = _events(call, ChargeSent)
    if not sent:
        return
    amounts = [t for t, e in _events(call, PromptStarted) if e.name == "amount"]
    accepted = [t for t, e in _events(call, EntryAccepted) if e.field == "accept" and e.value == "1"]
    if not amounts or not accepted:
        yield "a charge, but no amount, or no acceptance"
        return
    amount = max(t for t in amounts if t <= accepted[0])
    ones = [s for s in call.caller.strokes if s.digit == "1" and s.up is not None and s.up <= accepted[0]]
    if not any(round(s.start * TICKS) >= amount for s in ones):
        yield f"accepted at tick {accepted[0]} by a key pressed before the amount, at tick {amount}"
    last = "".join(s.digit for s in call.caller.strokes if s.up is not None and s.up <= accepted[0]).rstrip(
        "#"
    )
    if not last.endswith("1"):
        yield "accepted by another key than 1"
    for field in ("card_number", "expiry", "cvv"):
        if sum(e.field == field for _, e in _events(call, EntryAccepted)) < len(sent):
            yield f"a charge without its {field}"
    payable = {(order.order_id, order.amount) for order in call.desk.payable}
    if any((e.order_id, e.amount) not in payable for _, e in sent):
        yield f"{sent} is not what the authorizer said: {payable}"


def time_outs_are_exact(call: RandomCall) -> Findings:
    """From the end of the prompt, or of the last key, to the tick; a held key holds them."""
    strokes = [s for s in call.caller.strokes if s.up is not None]
    for entry in call.call.collected:
        if entry.ended is None:
            continue
        assert entry.begin is not None
        assert entry.end is not None
        ups = [s for s in strokes if s.up <= entry.end]
        if entry.ended in ("timeout", "silence"):
            for held in (s for s in call.caller.strokes if s.down < entry.end and s not in ups):
                yield f"{entry.ended} {entry.end - held.down} ticks after a key that is still held"
        last = max([entry.begin, *(s.up for s in ups)])
        match entry.ended:
            case "timeout":
                if entry.end != last + entry.digit:
                    yield f"between digits after {entry.end - last} ticks instead of {entry.digit}"
            case "silence":
                yield from _silence(entry.begin, entry.end, entry.first, ups)
            case _:
                if entry.end != last:
                    yield f"an entry is whole {entry.end - last} ticks after its last key"


def _silence(begin: int, end: int, wait: int, ups: list[Stroke]) -> Findings:
    # Of keys, only a * that counts begins the wait anew; whether it does depends on when it went down.
    bases = {begin, *(s.up for s in ups if s.digit == "*" and s.up > begin)}
    expected = {base + wait for base in bases}
    held = {s.up + 1 for s in ups if any(s.down <= due <= s.up for due in expected)}
    if end not in expected | held:
        yield f"of silence after {end - max(bases)} ticks instead of {wait}"
    if end - begin < wait:
        yield f"of silence {end - begin} ticks after the prompt, instead of {wait}"


def keys_cut_what_they_may_and_nothing_else(call: RandomCall) -> Findings:
    for _, event in _events(call, PromptEnded):
        if event.name in UNINTERRUPTIBLE and event.cut_by not in (None, "hangup"):
            yield f"{event.name} is cut by {event.cut_by}"
    for said in call.call.said:
        if not said.interruptible or said.heard is None:
            continue
        for before, stroke in zip([None, *call.caller.strokes], call.caller.strokes, strict=False):
            # A # may end the entry before; keys in one run with those before an error are forgotten.
            run = before is not None and stroke.start <= (before.up or 0) / TICKS + RUN
            counts = stroke.digit != "#" and round(stroke.start * TICKS) >= said.heard and not run
            if counts and said.heard <= stroke.down < said.end - CUT_WITHIN:
                yield f"{said.names} goes on for {said.end - stroke.down} ticks after a key"


def the_limit_is_kept(call: RandomCall) -> Findings:
    limit = call.limit * TICKS
    if call.ending is None:
        return
    for said in call.call.said:
        if said.interruptible and said.heard is not None and said.heard < limit < said.end:
            yield f"{said.names} goes on until {said.end / TICKS} s"
    for entry in call.call.collected:
        if entry.begin is not None and entry.begin < limit < entry.end:
            yield f"an entry goes on until {entry.end / TICKS} s"


def what_is_published_was_entered(call: RandomCall) -> Findings:
    """The tones that may be heard in the recording are those of the entries that the journal shows."""
    by_start = {s.start: s.digit for s in call.caller.strokes}
    secret, published = call.call.key_spans()
    if len(secret) + len(published) != len(call.caller.strokes):
        yield f"{len(secret)} + {len(published)} spans of {len(call.caller.strokes)} keys"
    tones = "".join(by_start[start] for start, _ in sorted(published))
    shown = "".join(e.value for _, e in _events(call, EntryAccepted) if e.value is not None)
    if tones.replace("#", "") != shown.replace("#", ""):
        yield f"the tones {tones}, the journal {shown}"
    open_fields = {e.field for _, e in _events(call, EntryAccepted) if e.value is not None}
    if open_fields - {"payment_key", "accept", "another_card"}:
        yield f"the journal shows {open_fields}"


def no_wrong_entry_is_shown(call: RandomCall) -> Findings:
    for _, event in _events(call, EntryRefused):
        if re.search(r"[0-9]", event.reason):
            yield f"{event}"


# Of a world ---------------------------------------------------------------------------------------


def one_completed_charge_per_order(world: World) -> Findings:
    for order in world.merchant.orders:
        if len(paid := world.openpay.completed(order.order_id)) > 1:
            yield f"{paid}"


def the_ledger_has_the_truth(world: World) -> Findings:
    """Every charge that was sent is in it, settled, and approved only and always if it is completed."""
    entries = {entry.attempt: entry for entry in world.entries()}
    for charge in world.openpay.charges:
        if charge.attempt not in entries and not charge.attempt.endswith("elsewhere"):
            yield f"{charge} is not in it"
    for entry in entries.values():
        paid = world.openpay.paid_by(entry.attempt)
        if entry.result is None:
            yield f"{entry} is still open"
        elif (entry.result == "approved") != (paid is not None):
            yield f"{entry.attempt} is {entry.result}, but Openpay has {paid}"
        elif paid is not None and (paid.id, paid.amount) != (entry.charge_id, entry.amount):
            yield f"{entry} is not {paid}"
        elif entry.result == "already_paid" and not world.openpay.completed(entry.order_id):
            yield f"{entry} of an order that is not paid"


def what_was_reconciled_is_told(world: World) -> Findings:
    """An entry that was not settled by its call is told by the journal when it is."""
    told = {}
    for record in world.records:
        if isinstance(record.event, ChargeSettled) and record.event.result != "unknown":
            told.setdefault(record.event.attempt, record.event.result)
        elif isinstance(record.event, ChargeReconciled):
            told[record.event.attempt] = record.event.result
    for entry in world.entries():
        if told.get(entry.attempt) != entry.result:
            yield f"{entry.attempt} is {entry.result}, the journal says {told.get(entry.attempt)}"


def nothing_leaks(world: World, logged: Iterable[str]) -> Findings:
    """No card number, nor six digits of one, nor a security code or expiry by itself, outlives the call."""
    written = [value for record in world.records for value in _values(record.event)]
    text = "\n".join([*written, *map(repr, world.entries()), *logged]).replace(world.name, "world")
    runs = re.findall(r"[0-9]{6,}", re.sub(r"(?<=[0-9])[ .,-](?=[0-9])", "", text))
    for card in world.cards:
        for run in runs:
            if found := wallet.parts(card.number) & wallet.parts(run):
                yield f"{found} of {card.number} in {run}"
        for secret in (card.cvv, card.expiry):
            if re.search(rf"(?<![0-9.:]){secret}(?![0-9])", text):
                yield f"{secret} of {card}"


def _values(event: Event) -> Iterator[str]:
    for field in fields(event):
        if field.name not in MEASURES:
            yield f"{getattr(event, field.name)}"


OF_A_CALL: tuple[Callable[[RandomCall], Findings], ...] = (
    it_ends,
    the_outcome_is_the_charges,
    the_result_is_told,
    nothing_was_charged_where_that_was_said,
    no_charge_without_acceptance,
    time_outs_are_exact,
    keys_cut_what_they_may_and_nothing_else,
    the_limit_is_kept,
    what_is_published_was_entered,
    no_wrong_entry_is_shown,
)
OF_A_WORLD: tuple[Callable[[World], Findings], ...] = (
    one_completed_charge_per_order,
    the_ledger_has_the_truth,
    what_was_reconciled_is_told,
)


def judged(world: World, witness: Witness, logged: Iterable[str]) -> list[tuple[str, str, str]]:
    """All that is wrong with a world that was played: (call or world, invariant, what)."""
    wrong = list(witness.wrong)
    for call in world.calls:
        if call.started is not None:
            wrong += [(call.name, of.__name__, what) for of in OF_A_CALL for what in of(call)]
    wrong += [(world.name, of.__name__, what) for of in OF_A_WORLD for what in of(world)]
    wrong += [(world.name, "nothing_leaks", what) for what in nothing_leaks(world, logged)]
    return wrong
