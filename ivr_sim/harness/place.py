"""Scenarios as real calls: SIP and RTP over sockets, in real time.

Each call has a merchant and an IVR of its own on loopback, in this process, and a telephone that registers
at its exchange and dials:

    telephone (script) --- [network faults] --- exchange --- IVR --- [HTTP faults] --- authorizer, Openpay
                                                   |          |
                                                SIP trace   journal: what the caller hears, and the verdict
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import dtmf
from ivr_sim.errors import ConfigurationError, IvrSimError
from ivr_sim.harness.caller import Hearer, Telephone, follow
from ivr_sim.harness.converse import caller_of, failure_of
from ivr_sim.harness.fault_network import rtp_through, sip_reactor
from ivr_sim.harness.faults import Faults
from ivr_sim.harness.judge import Seen, judge
from ivr_sim.harness.listening import Listener
from ivr_sim.harness.many import error_of
from ivr_sim.harness.provision import charged_at, merchant_of
from ivr_sim.harness.scenario import Case
from ivr_sim.harness.script import ScriptedCaller
from ivr_sim.harness.story import Story
from ivr_sim.harness.wiretap import Wiretap
from ivr_sim.journal import CallFailed, Journal, KeyMethod, Record
from ivr_sim.legs.scripted import TickingCaller
from ivr_sim.media import SAMPLE_RATE, MediaEngine
from ivr_sim.node import Node, local_now, local_today
from ivr_sim.reports.artefacts import Artefacts
from ivr_sim.reports.verdict import CallVerdict, Failure
from ivr_sim.sip.states import Ended
from ivr_sim.sip.transport import WILDCARDS, Address, local_host
from ivr_sim.sip.user_agent import UserAgent

__all__ = ["Placer", "Player", "not_answered", "telephone_of", "verdict_of"]

CALLER = "1001"


class Placer:
    """Places calls, each at an IVR of its own.

    reactor: the running one. data: the data folder, for the prompts. artefacts: who keeps what calls leave.
    by: the way of keying, unless it is the scenario's. caller: makes the caller of a case, which otherwise
    follows its steps or profile. outside: as ``merchant_of`` takes it.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        data: Path,
        artefacts: Artefacts,
        by: KeyMethod | None = None,
        caller: Callable[[Case], Player] | None = None,
        **outside: Any,
    ) -> None:
        self._reactor = reactor
        self._data = data
        self._artefacts = artefacts
        self._caller: Callable[[Case], Player] = caller or partial(caller_of, by=by)
        self._outside = outside

    async def place(self, case: Case) -> CallVerdict:
        """Place one call; what cannot be run is an ``error`` with its reason."""
        began = self._reactor.seconds()
        try:
            return await self._place(case, began)
        except IvrSimError as error:
            return error_of(case, str(error), self._reactor.seconds() - began)

    async def _place(self, case: Case, began: float) -> CallVerdict:
        scenario = case.scenario
        caller = self._caller(case)
        telephone = Telephone(caller)
        journal = Journal(local_now)
        tap = Wiretap(self._reactor, journal)
        async with AsyncExitStack() as stack:
            merchant = merchant_of(self._reactor, case, folder=None, **self._outside)
            stack.push_async_callback(merchant.stop)
            merchant.start()
            node = Node(
                self._reactor,
                merchant,
                journal,
                data=self._data,
                folders=tap,
                tapes=tap.tape,
                accounts=(CALLER,),
                today=lambda: scenario.recorded_on or local_today(),
                language=scenario.language,
                ledger="sqlite://",  # in memory: it lasts as long as its merchant
            )
            stack.push_async_callback(node.stop)
            await node.start()
            stack.callback(follow(journal, caller, user=CALLER))
            server = Address("127.0.0.1", node.exchange.port)
            phone = telephone_of(
                self._reactor, server, CALLER, node.accounts[CALLER], scenario.faults, scenario.seed
            )
            stack.push_async_callback(phone.stop)
            await phone.start()
            ended = await telephone.dial(phone.agent, scenario.number)
            await node.settle()
            completed, others = charged_at(merchant, scenario.given)
        if telephone.problem:
            raise ConfigurationError(f"{case.path}: {telephone.problem}")
        records = tap.records or [not_answered(ended)]
        stuck = failure_of(caller, case) if isinstance(caller, ScriptedCaller) else None
        cuts = None
        if scenario.expect.barge_in_ms is not None:
            listener = Listener(node.library)
            announced = listener.announced(records)
            keys = dtmf.decode(telephone.sent, SAMPLE_RATE)
            onsets = caller.onsets if isinstance(caller, ScriptedCaller) else [key.start_s for key in keys]
            cuts = listener.barge_ins(announced, telephone.heard, onsets)
        seen = Seen(completed=completed, others=others, requests=tap.requests, barge_ins=cuts, step=stuck)
        story = Story(records)
        verdict = verdict_of(case, story, judge(case, story, seen), self._reactor.seconds() - began)
        return self._artefacts.keep(
            verdict,
            records,
            tap.heard,
            telephone.heard,
            tap.exchanges,
            tap.messages,
            tap.masks,
            zero=tap.zero,
        )


class Player(TickingCaller, Hearer, Protocol):
    """A caller who is told of prompts, and acts tick by tick."""


class _Phone:
    """A user agent with an engine of its own."""

    def __init__(self, agent: UserAgent, engine: MediaEngine) -> None:
        self.agent = agent
        self._engine = engine

    async def start(self) -> None:
        """Register. Raises RegistrationRefused, CannotListen."""
        self._engine.start()
        await self.agent.start()

    async def stop(self) -> None:
        """Hang up, de-register, close."""
        await self.agent.stop()
        self._engine.stop()


def telephone_of(
    reactor: Any, server: Address, user: str, password: str, faults: Faults, seed: int
) -> _Phone:
    """A telephone with an account at a server, on a network with these faults."""
    host = local_host(WILDCARDS[0], server[0])
    engine = MediaEngine(
        reactor, host=host, detect_inband=False, max_streams=1, through=rtp_through(reactor, faults, seed)
    )
    agent = UserAgent(
        sip_reactor(reactor, faults), engine, server=server, username=user, password=password, host=host
    )
    return _Phone(agent, engine)


def verdict_of(case: Case, story: Story, failure: Failure | None, wall_s: float) -> CallVerdict:
    """A call that was held, as it is reported."""
    return CallVerdict(
        case.name,
        "fail" if failure else "pass",
        outcome=str(story.outcome),
        expected=case.scenario.expect.outcome,
        entries={field: [value for value, _ in found] for field, found in story.entries.items()},
        prompts=story.prompts,
        duration_s=round(story.duration_s, 3),
        wall_s=round(wall_s, 3),
        failure=failure,
        file=str(case.path),
        line=case.line_of(),
        seed=case.scenario.seed,
    )


def not_answered(ended: Ended) -> Record:
    """What is told of a call that the line never heard of."""
    return Record(
        1, None, None, local_now(), CallFailed(status=ended.status or 408, reason=ended.reason or "no answer")
    )
