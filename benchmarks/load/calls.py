"""The callers: dial at a rate, key, hold, hang up; and what became of each call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from media import CallerMedia, CallerStream
from tapes import Network, key_times, plan
from twisted.internet.defer import Deferred

from ivr_sim.sip.address import Address
from ivr_sim.sip.states import Ended
from ivr_sim.sip.user_agent import UserAgent

__all__ = ["CallRecord", "Caller"]

NUMBER = "5007"
PATIENCE = 40.0  # seconds that a call may take to be set up
SETTLE = 3.0  # seconds after the last call: lost BYEs are repeated
NOBODY: Any = object()  # who listens: the media count, and that is all


@dataclass
class CallRecord:
    """What became of one call. setup: seconds from the INVITE to its 200, None if there was none."""

    keys: str
    call_id: str = ""
    setup: float | None = None
    ended: str = "under way"
    received: int = 0
    longest_gap_ms: float = 0


class Caller:
    """One telephone with many calls. peak: how many were up at once."""

    def __init__(
        self,
        reactor: Any,
        port: int,
        *,
        total: int,
        at_once: int,
        rate: float,
        hold: float,
        digits: int,
        by: str,
        network: Network,
        chance: Random,
    ) -> None:
        self._reactor = reactor
        self._total = total
        self._at_once = at_once
        self._rate = rate
        self._hold = hold
        self._by = by
        self._network = network
        self._digits = digits
        self._chance = chance
        self.records: list[CallRecord] = []
        self.media = CallerMedia(reactor)
        self._agent = UserAgent(
            reactor,
            self.media,  # type: ignore[arg-type]  all of it that a caller's session asks for
            server=Address("127.0.0.1", port),
            username="caller",
            password="caller",
        )
        self._plans = [self._plan() for _ in range(min(total, at_once))]
        self._up = 0
        self._under_way = 0
        self.peak = 0
        self._began = 0.0

    def _plan(self) -> tuple[str, Any]:
        keys = "".join(self._chance.choice("0123456789") for _ in range(self._digits))
        return keys, plan(keys, self._by, round(self._hold * 50) + 1, self._chance, self._network)

    def register(self) -> Deferred[None]:
        """Fires when it may dial."""
        self.media.start()
        return self._agent.start()

    def stop(self) -> Deferred[None]:
        """Fires when all is closed."""
        self.media.stop()
        return self._agent.stop()

    def start(self, over: Callable[[], object], full: Callable[[], object]) -> None:
        """Dial; ``full`` is called when the most calls are up, ``over`` when all calls are."""
        self._over, self._full = over, full
        self._began = self._reactor.seconds()
        self._dial_due()

    def _dial_due(self) -> None:
        due = min(int((self._reactor.seconds() - self._began) * self._rate) + 1, self._total)
        while len(self.records) < due and self._under_way < self._at_once:
            self._dial()
        if len(self.records) < self._total:
            self._reactor.callLater(0.5 / self._rate, self._dial_due)

    def _dial(self) -> None:
        keys, steps = self._plans[len(self.records) % len(self._plans)]
        record = CallRecord(keys)
        self.records.append(record)
        self._under_way += 1
        asked = self._reactor.seconds()

        def prepared(stream: CallerStream) -> None:
            stream.steps, stream.every_step = steps, self._network.bad
            stream.on_started = lambda: self._answered(record, stream, asked)

        self.media.prepared = prepared
        session = self._agent.dial(NUMBER, NOBODY)
        record.call_id = session.call_id
        stream: Any = session.stream
        giving_up = self._reactor.callLater(PATIENCE, session.hang_up)
        hold: list[Any] = []
        if self._by == "info":
            due = dict(key_times(keys))

            def step(packet: int) -> None:
                key = due.pop(packet, None)
                if key is not None:
                    session.send_info_key(key, 100)

            stream.on_step = step

        def answered(_: object) -> None:
            giving_up.cancel()
            hold.append(self._reactor.callLater(self._hold, hang_up))

        def hang_up() -> None:
            record.ended = "hung up"
            session.hang_up()

        def over(how: Ended) -> None:
            for timer in (giving_up, *hold):
                if timer.active():
                    timer.cancel()
            if record.ended != "hung up":
                record.ended = f"{how.by} {how.status} {how.reason}"
            record.received = stream.received
            record.longest_gap_ms = 5.0 * stream.longest_gap
            self._up -= record.setup is not None
            self._under_way -= 1
            if not self._under_way and len(self.records) == self._total:
                self._reactor.callLater(SETTLE, self._over)

        session.answered.addCallbacks(answered, lambda _: None)
        session.ended.addCallback(over)

    def _answered(self, record: CallRecord, stream: CallerStream, asked: float) -> None:
        record.setup = self._reactor.seconds() - asked
        self._up += 1
        if self._up > self.peak:
            self.peak = self._up
            if self.peak == min(self._at_once, self._total):
                self._reactor.callLater(1.0, self._full)
