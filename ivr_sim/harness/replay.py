"""Calls through the very same dialogue in virtual time: recordings, and scenarios with steps or a profile.

Each call is its own merchant: an authorizer and a stand-in of its own on loopback, asked over HTTP, with the
payment key that its label gives. The verdict is a function of the recording, the label and the code: a
call's clock stands still while HTTP is out or a prompt is rendered, its wall clock is that of the day it was
recorded on, and whatever is drawn comes from the seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater

from ivr_sim.errors import IvrSimError, place
from ivr_sim.harness.before import run_before
from ivr_sim.harness.caller import follow
from ivr_sim.harness.converse import Conversation, converse
from ivr_sim.harness.fault_network import lossy
from ivr_sim.harness.faults import check_faults
from ivr_sim.harness.judge import Seen, judge
from ivr_sim.harness.listening import Listener
from ivr_sim.harness.many import error_of
from ivr_sim.harness.place import Placer, verdict_of
from ivr_sim.harness.provision import charged_at, clock_of, merchant_of
from ivr_sim.harness.scenario import Case, Press
from ivr_sim.harness.story import Story
from ivr_sim.harness.tape import read_caller, with_key
from ivr_sim.harness.timing import TapeCaller, Timeline, Timing, playback_of, timeline_of
from ivr_sim.http_exchange import HttpExchange
from ivr_sim.ivr import Ivr
from ivr_sim.journal import Journal, Record
from ivr_sim.ledger import Ledger
from ivr_sim.legs import CallerTape, Playback, RecordingLeg
from ivr_sim.merchant import Merchant, Outside
from ivr_sim.node import SHOP, local_now, local_today, open_library
from ivr_sim.prompts import Library, PicoVoice
from ivr_sim.reports.artefacts import Artefacts
from ivr_sim.reports.verdict import CallVerdict

__all__ = ["Manner", "Replayed", "Replayer", "with_payment_key"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How calls are replayed. It can be pickled.

    data: the data folder, for prompts. artefacts: who keeps what calls leave; None: nobody. sip: as real
    calls over SIP, in real time. timing: of the keys on recordings (default: see ``playback_of``). set_key: a
    payment key that takes the place of each call's own. before: a command that is run before each call.
    at_authorizer, at_openpay: somebody else's services.
    """

    data: Path
    artefacts: Artefacts | None = None
    sip: bool = False
    timing: Timing | None = None
    set_key: str | None = None
    before: str | None = None
    at_authorizer: Outside | None = None
    at_openpay: Outside | None = None


@dataclass(frozen=True)
class Replayed:
    """What one call came to.

    timeline: when each prompt began, its name, and when it was over, in seconds; None: the caller was gone.
    """

    verdict: CallVerdict
    cause: str | None = None
    timeline: Timeline = ()


@dataclass
class _Held:
    """What is gathered of a call while it lasts."""

    records: list[Record] = field(default_factory=list)
    exchanges: list[tuple[float | None, HttpExchange]] = field(default_factory=list)

    def http(self, exchange: HttpExchange) -> None:
        """A request is over; it took no time of the call's."""
        self.exchanges.append((self.records[-1].t if self.records else None, exchange))

    @property
    def requests(self) -> Mapping[str, int]:
        return Counter(exchange.service for _, exchange in self.exchanges)


class Replayer:
    """Replays calls in this process, any number at a time; ``stop`` ends the voices that they needed."""

    def __init__(self, reactor: Any, manner: Manner) -> None:
        self._reactor = reactor
        self._manner = manner
        self._spoken: dict[str, tuple[Library, PicoVoice]] = {}

    async def stop(self) -> None:
        """End the voices."""
        while self._spoken:
            _, (_, voice) = self._spoken.popitem()
            await voice.stop()

    def prompts(self, language: str) -> Library:
        """The prompts of a language, read once."""
        if language not in self._spoken:
            self._spoken[language] = open_library(self._reactor, self._manner.data, language)
        return self._spoken[language][0]

    async def verdict(self, case: Case) -> CallVerdict:
        """Replay one call: its verdict."""
        return (await self.replay(case)).verdict

    async def replay(self, case: Case) -> Replayed:
        """Replay one call; what cannot be read or run is an ``error`` with its reason."""
        began = self._reactor.seconds()
        try:
            return await self._replay(case, began)
        except CancelledError:
            raise
        except IvrSimError as error:
            reason = str(error)
        except Exception as error:
            log.error("a replay broke", call=case.name, error=type(error).__name__, at=place(error))
            reason = f"internal error: {type(error).__name__} at {place(error)}"
        return Replayed(error_of(case, reason, self._reactor.seconds() - began))

    async def _replay(self, case: Case, began: float) -> Replayed:
        manner = self._manner
        check_faults(
            case,
            virtual=not manner.sip,
            own_authorizer=manner.at_authorizer is None,
            own_openpay=manner.at_openpay is None,
        )
        playback = None
        if case.wav is not None:
            sound = read_caller(case.wav)
            if not manner.sip:  # there, packets are lost
                sound = lossy(sound, case.scenario.faults, case.scenario.seed)
            tape = CallerTape(sound)
            if manner.set_key is not None:
                tape = with_key(tape, case.scenario.given.key, manner.set_key)
            playback = playback_of(tape, case.scenario, manner.timing)
        if manner.set_key is not None:
            case = with_payment_key(case, manner.set_key)
        if manner.before is not None:
            await run_before(self._reactor, manner.before, case.scenario.given)
        if manner.sip:
            return Replayed(await self._place(case, playback))
        return await self._converse(case, playback, began)

    async def _place(self, case: Case, playback: Playback | None) -> CallVerdict:
        placer = Placer(
            self._reactor,
            data=self._manner.data,
            artefacts=self._manner.artefacts or Artefacts(self._manner.data, "none"),
            caller=None if playback is None else lambda _: TapeCaller(playback),
            **self._outside,
        )
        return await placer.place(case)

    @property
    def _outside(self) -> dict[str, Any]:
        return {"at_authorizer": self._manner.at_authorizer, "at_openpay": self._manner.at_openpay}

    async def _converse(self, case: Case, playback: Playback | None, began: float) -> Replayed:
        scenario = case.scenario
        held = _Held()
        listener = Listener(self.prompts(scenario.language))
        merchant = merchant_of(self._reactor, case, **self._outside)
        merchant.start()
        try:
            talk = await self._talk(case, playback, merchant, listener, held)
            completed, others = charged_at(merchant, scenario.given)
        finally:
            await merchant.stop()
        announced = listener.announced(held.records)
        cuts = None
        if scenario.expect.barge_in_ms is not None:
            cuts = listener.barge_ins(announced, talk.heard, talk.onsets)
        seen = Seen(
            completed=completed,
            others=others,
            requests=held.requests,
            barge_ins=cuts,
            step=talk.failure,
        )
        story = Story(held.records)
        failure = judge(case, story, seen) or listener.judge(case, announced, talk.heard)
        verdict = verdict_of(case, story, failure, self._reactor.seconds() - began)
        if self._manner.artefacts is not None:
            verdict = self._manner.artefacts.keep(
                verdict, held.records, talk.said, talk.heard, held.exchanges, (), talk.masks
            )
        cause = story.ended.cause if story.ended else None
        return Replayed(verdict, cause, timeline_of(held.records))

    async def _talk(
        self, case: Case, playback: Playback | None, merchant: Merchant, listener: Listener, held: _Held
    ) -> Conversation:
        scenario = case.scenario
        journal = Journal(local_now)
        journal.subscribe(held.records.append)
        ledger = Ledger("sqlite://", now=clock_of(self._reactor, scenario))
        # Openpay is this call's alone: what it does not know now is not on its way to it any more.
        cashier = merchant.cashier(ledger, journal, on_exchange=held.http, between_looks=0)
        try:
            await cashier.start()
            shop = merchant.shop(
                SHOP,
                cashier,
                today=lambda: scenario.recorded_on or local_today(),
                on_exchange=held.http,
            )
            ivr = Ivr(shop, listener, journal)
            if playback is None:
                return await converse(ivr, case, rest=partial(deferLater, self._reactor, 0))
            return await _play(ivr, case, playback)
        finally:
            await cashier.stop()
            ledger.close()


async def _play(ivr: Ivr, case: Case, playback: Playback) -> Conversation:
    call = ivr.call(case.name)
    leg = RecordingLeg(call, playback)
    stop = follow(ivr.journal, playback, call=case.name)
    try:
        await ivr.held(call, leg, to=case.scenario.number)
    finally:
        stop()
    return Conversation(None, leg.heard, leg.spoken, leg.onsets, call.key_spans())


def with_payment_key(case: Case, key: str) -> Case:
    """The same call with another payment key, in what is given, keyed and expected."""
    scenario = case.scenario
    old = scenario.given.key

    def other(value: Any) -> Any:
        match value:
            case str():
                return key if value == old else value
            case list():
                return [other(part) for part in value]
            case dict():
                return {name: other(part) for name, part in value.items()}
        return value

    expect = scenario.expect.model_copy(
        update={"entries": other(scenario.expect.entries), "journal": other(scenario.expect.journal)}
    )
    steps = [
        step.model_copy(update={"press": step.press.replace(old, key)}) if isinstance(step, Press) else step
        for step in scenario.steps
    ]
    given = scenario.given.model_copy(update={"key": key})
    return replace(
        case, scenario=scenario.model_copy(update={"given": given, "expect": expect, "steps": steps})
    )
