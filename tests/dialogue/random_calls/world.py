"""A world: one merchant, one Openpay, one ledger, a process or two, and one to three calls.

All between the caller's finger and Openpay's answer is the product's own: the conversation, the call on its
ticks, the acquirer, the cashier and the ledger. A world is a pure function of its name.

    process 1: call 1 ... call 2 ...   ends: stopped when its calls are over, or killed in their midst
    process 2:           (call 3 ...)  takes up what is open, until nothing is
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import numpy as np
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from ivr_sim.call import Entry, Phrase
from ivr_sim.clients import Cashier, OpenpayClient, OpenpayRefused
from ivr_sim.clients.acquirer import OpenpayAcquirer
from ivr_sim.dialogue import Ending, Limits, Shop, take_payment
from ivr_sim.errors import IvrSimError
from ivr_sim.journal import CallAnswered, CallEnded, ChargeReconciled, Journal, PromptStarted, Record
from ivr_sim.ledger import Ledger, LedgerEntry, LedgerFailed
from ivr_sim.legs import LegCall
from ivr_sim.media import Samples
from ivr_sim.prompts import Catalogue

from . import wallet
from .caller import Caller
from .clock import TICKS, TickClock
from .merchant import Desk, Merchant
from .openpay import Line, Openpay

SILENCE = np.zeros(160, np.int16)
CATALOGUE = Catalogue()
START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TODAY = date(2026, 11, 23)
LONGEST_CALL = 2000 * TICKS
LONGEST_LOOK = 24 * 3600 * TICKS  # a charge still open by then will stay so


class Wall:
    """The wall clock of the world that is being played."""

    def __init__(self) -> None:
        self.tick = 0

    def __call__(self) -> datetime:
        return START + timedelta(seconds=self.tick / TICKS)


@dataclass
class Said:
    """One ``say``: ticks from the first sound (None: not a sound) to the end."""

    names: tuple[str, ...]
    interruptible: bool
    heard: int | None = None
    end: int | None = None


@dataclass
class Collected:
    """One ``collect``: ticks from the end of its prompts to its own end, and how it ended (None: raised)."""

    first: int
    digit: int
    begin: int | None = None
    end: int | None = None
    ended: str | None = None


class WatchedCall(LegCall):
    """The call, unchanged; notes when the conversation spoke and listened."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.said: list[Said] = []
        self.collected: list[Collected] = []

    @property
    def tick_now(self) -> int:
        return self._ticks or 0

    async def say(self, *phrases: Phrase, interruptible: bool = True) -> None:
        said = Said(tuple(p.name for p in phrases), interruptible)
        self.said.append(said)
        try:
            await super().say(*phrases, interruptible=interruptible)
        finally:
            said.end = self.tick_now

    async def collect(self, *phrases: Phrase, **rules: Any) -> Entry:
        first, digit = (round(rules[f"{name}_timeout"] * TICKS) for name in ("first_digit", "digit"))
        collected = Collected(first, digit)
        self.collected.append(collected)
        said = len(self.said)
        try:
            entry = await super().collect(*phrases, **rules)
            collected.ended = entry.ended
            return entry
        finally:
            collected.begin = self.said[said].end if len(self.said) > said else None
            collected.end = self.tick_now

    def hear(self, record: Record) -> None:
        """The journal's reader."""
        if isinstance(record.event, PromptStarted) and self.said and self.said[-1].heard is None:
            self.said[-1].heard = self.tick_now


class Sounds:
    """Prompts of 0.2 to 2 s, always the same one; some cannot be said, some take time to be made."""

    def __init__(self, chance: Random, clock: TickClock) -> None:
        self._clock = clock
        self._lost = (
            chance.choice(("amount", "approved", "declined", "ask_card")) if chance.random() < 0.02 else ""
        )
        self._params_lost = chance.random() < 0.5
        self._slow = chance.random() < 0.1
        self._lengths = [chance.randrange(1600, 16000) for _ in range(7)]
        self.lost = bool(self._lost)

    async def sound(self, phrase: Phrase) -> Samples:
        """Any sound, as long as the phrase has words."""
        text = CATALOGUE.text(phrase)
        if self._slow:
            await deferLater(self._clock, (len(text) % 50) / 50)
        if phrase.name == self._lost and (phrase.params or not self._params_lost):
            raise IvrSimError("no voice")
        return np.ones(self._lengths[len(phrase.name) % 7], np.int16)


class Endless(AssertionError):
    """Somebody waits for what will not come."""


class Process:
    """What lives until the process ends: its clock, its line to Openpay, its cashier."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._chance = chance = world.chance
        self.clock = TickClock()
        self.clock.to(world.tick)
        world.merchant.clock = self.clock
        self.line = Line(
            world.openpay, chance, self.clock, world.faults, lambda attempt: world.on_leave(attempt)
        )
        world.lines.append(self.line)
        self.unwritten: set[str] = set()
        # The model has the methods of the client that the acquirer uses.
        client: OpenpayClient = self.line  # type: ignore[assignment]
        self.cashier = Cashier(
            OpenpayAcquirer(client, self.clock),
            world.ledger,
            self.clock,
            account=world.name,
            journal=world.journal,
            now=world.wall,
            in_thread=self._elsewhere,
        )

    def start(self) -> None:
        """Take up what an earlier process left open."""
        Deferred.fromCoroutine(self.cashier.start())

    def stop(self) -> None:
        """End in good order."""
        Deferred.fromCoroutine(self.cashier.stop())

    async def _elsewhere(self, what: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """The ledger's thread: at times it takes a while, at times the disk is full."""
        if self._chance.random() < 0.1:
            await deferLater(self.clock, self._chance.uniform(0, 2))
        if self._chance.random() < self._world.ledger_faults:
            if what == self._world.ledger.settle:
                self.unwritten.add(args[0])
            raise LedgerFailed("the ledger failed: the disk is full")
        return what(*args, **named)


class RandomCall:
    """One call of a world; it starts so many ticks after the one before it is over, or beside it."""

    def __init__(self, world: World, number: int) -> None:
        self.chance = chance = Random(f"{world.name}/{number}")
        self.name = f"{world.name}/{number}"
        self.beside = chance.random() < 0.3
        self.delay = chance.randrange(1, 60 * TICKS)
        self.limit = 600 if chance.random() < 0.9 else chance.randrange(10, 90)
        self.started: int | None = None
        self.ending: Ending | None = None
        self.killed = False
        self.error: BaseException | None = None
        self.world = world
        self.records: list[Record] = []

    def start(self) -> None:
        """Answer the call."""
        world, chance = self.world, self.chance
        self.started = world.tick
        self.sounds = Sounds(chance, world.process.clock)
        self.call = WatchedCall(world.journal, self.name, self.sounds, limit=float(self.limit))
        self.caller = Caller(
            chance,
            self.call,
            [order.key for order in world.merchant.orders[: chance.choice((1, 1, 1, 2))]],
            world.cards,
            chance.choice((1.0, 0.97, 0.9, 0.7)),
        )
        self.desk = Desk(world.merchant)
        attempts = (f"{self.name}/{n}" for n in range(9))
        taken = [card.number for card in world.cards[:3]]
        shop = Shop(
            name="Tienda Uno",
            keys=self.desk,
            acquirer=world.process.cashier,
            today=lambda: TODAY,
            new_attempt=lambda: next(attempts),
            card_allowed=lambda number: number.is_one_of(taken),
            limits=Limits(key_length=chance.choice((None, None, None, 6))),
        )
        self.call.answered()
        self.call.journal.emit(CallAnswered(codec="L16", key_methods=()))
        talk = Deferred.fromCoroutine(take_payment(self.call, shop))
        talk.addCallbacks(self._ended, self._broke)
        talk.addBoth(lambda result: world.call_over(self))

    def _ended(self, ending: Ending) -> None:
        self.ending = ending
        self.call.journal.emit(
            CallEnded(outcome=ending.outcome, cause=ending.cause, by=self.call.gone or "ivr")
        )

    def _broke(self, failure: Any) -> None:
        self.error = failure.value

    def hear(self, record: Record) -> None:
        """The journal's reader, for this call's records."""
        self.records.append(record)
        self.call.hear(record)
        self.caller.hear(record)

    @property
    def over(self) -> bool:
        """Whether nothing can come of it any more."""
        return self.killed or self.ending is not None or self.error is not None

    @property
    def ticking(self) -> bool:
        """Whether somebody is on the line."""
        return self.started is not None and self.call.gone is None and not self.over

    @property
    def next_tick(self) -> int | None:
        """The world's tick in which the caller does something."""
        due = self.caller.next_tick
        return None if due is None else self.world.tick + 1 + max(0, due - self.call.tick_now)


class World:
    """One world; ``play`` lets it happen. ledger and wall are shared by worlds, one after the other.

    on_leave: called with an attempt's name when the request for its charge leaves. clock: everybody's but
    the processes'. process: the one that runs, or ran last.
    """

    def __init__(self, name: str, ledger: Ledger, wall: Wall) -> None:
        self.on_leave: Callable[[str], None] = lambda attempt: None
        self.name = name
        self.ledger = ledger
        self.wall = wall
        self.chance = chance = Random(name)
        self.tick = wall.tick = 0
        self.clock = TickClock()
        self.journal = Journal(wall)
        self.records: list[Record] = []
        self.journal.subscribe(self._write)
        self.faults = chance.choice((0.0, 0.2, 0.4, 0.4, 0.9))
        self.ledger_faults = 0.05 if chance.random() < 0.1 else 0.0
        self.openpay = Openpay(chance, self.clock, chance.choice((0.0, 0.1, 0.6)))
        self.merchant = Merchant(chance, name, chance.choice((0.0, 0.1, 0.3)))
        self.cards = [wallet.draw(chance) for _ in range(4)]  # the last one is not taken here
        self.calls = [RandomCall(self, n) for n in range(chance.choice((1, 2, 2, 3)))]
        self.lines: list[Line] = []
        self.process = Process(self)
        self.clock.callLater(0, self._start_call, 0)
        if chance.random() < 0.06:  # somebody pays by another way
            self.clock.callLater(chance.uniform(0, 60), self._pay_elsewhere)
        if chance.random() < 0.1:
            self.clock.callLater(chance.uniform(0, 90), self._next_process)

    def play(self) -> None:
        """Let the calls happen, the process end, and another one take up what is open."""
        self.process.start()
        while not all(call.over for call in self.calls):
            self._tick_or_jump()
        self._pass(self.chance.randrange(200 * TICKS))
        if self.chance.random() < 0.5:
            self.process.stop()
        self._pass(self.chance.randrange(100 * TICKS), without_process=True)
        self.faults, self.ledger_faults = min(self.faults, 0.4), 0.0
        self._next_process()
        given_up = self.tick + LONGEST_LOOK
        while self.process.clock.calls and self.tick < given_up:
            self._jump()
        self._pass(300 * TICKS)  # what Openpay was late with, it has done by then

    def entries(self) -> list[LedgerEntry]:
        """What the ledger has of this world."""
        return self.ledger.entries(account=self.name)

    def call_over(self, call: RandomCall) -> None:
        """A call is over; the next one may wait for that."""
        after = self.calls.index(call) + 1
        if after < len(self.calls) and not self.calls[after].beside:
            self._schedule(after)

    # What happens -------------------------------------------------------------------------------

    def _schedule(self, number: int) -> None:
        self.clock.callLater(self.calls[number].delay / TICKS, self._start_call, number)

    def _start_call(self, number: int) -> None:
        after = number + 1
        if after < len(self.calls) and self.calls[after].beside:
            self._schedule(after)
        self.calls[number].start()

    def _pay_elsewhere(self) -> None:
        order = self.merchant.orders[0]
        with suppress(OpenpayRefused):
            self.openpay.charge(order.order_id, f"{self.name}/elsewhere", order.amount)

    def _next_process(self) -> None:
        """Whatever this process has not done by now, it will not do; another one starts."""
        self.process = Process(self)
        self.process.start()
        for call in self.calls:
            if call.started is not None and not call.over:
                call.killed = True
                self.call_over(call)

    def _write(self, record: Record) -> None:
        self.records.append(record)
        for call in self.calls:
            if (
                call.name == record.call
                and call.started is not None
                and not isinstance(record.event, ChargeReconciled)
            ):
                call.hear(record)

    # Time ---------------------------------------------------------------------------------------

    def _tick_or_jump(self) -> None:
        ticking = [call for call in self.calls if call.ticking]
        if ticking:
            self._tick(ticking)
        else:
            self._jump()

    def _tick(self, ticking: list[RandomCall]) -> None:
        """Let 20 ms pass after 20 ms, until more happens than that the calls tick."""
        due = [call.next_tick for call in ticking] + [self.clock.next_tick, self.process.clock.next_tick]
        quiet_until = min((tick for tick in due if tick is not None), default=self.tick + LONGEST_CALL)
        clock, written = self.process.clock, len(self.records)
        clock.stirred = False
        ticks = [call.call.tick for call in ticking]
        tick = self.tick + 1
        while tick < quiet_until and not clock.stirred and len(self.records) == written:
            self.tick = self.wall.tick = tick
            for pass_20_ms in ticks:
                pass_20_ms(SILENCE)
            tick += 1
        if tick < quiet_until:
            return
        self._to(tick)
        for call in ticking:
            if call.ticking:
                call.caller.act(call.call.tick_now)
            if call.ticking:
                call.call.tick(SILENCE)
            if call.call.tick_now > LONGEST_CALL:
                raise Endless(f"{call.name} goes on and on")

    def _jump(self) -> None:
        """To when something happens next."""
        due = [clock.next_tick for clock in (self.clock, self.process.clock) if clock.calls]
        if not due:
            raise Endless(self.name)
        self._to(max(min(due), self.tick))

    def _pass(self, ticks: int, *, without_process: bool = False) -> None:
        end = self.tick + ticks
        while self.tick < end:
            # Another process may have started meanwhile, with a clock of its own.
            clocks = (self.clock,) if without_process else (self.clock, self.process.clock)
            due = [tick for clock in clocks if (tick := clock.next_tick) is not None]
            self._to(max(self.tick, min([end, *due])), without_process=without_process)

    def _to(self, tick: int, *, without_process: bool = False) -> None:
        self.tick = self.wall.tick = tick
        self.clock.to(tick)
        if not without_process:
            self.process.clock.to(tick)
