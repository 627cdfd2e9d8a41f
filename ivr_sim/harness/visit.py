"""Scenarios as calls to somebody else's IVR, of which nothing is known but what a caller hears.

    telephone (script) --- [network faults] --- their exchange --- their IVR
        |  each frame
    recogniser: which prompt has begun, which one it was, when it was over

What such a call comes to is told from its prompts; what cannot be heard is said not to have been judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

from ivr_sim.call import Phrase, phrase
from ivr_sim.errors import ConfigurationError, IvrSimError
from ivr_sim.harness.caller import Telephone
from ivr_sim.harness.converse import caller_of, failure_of
from ivr_sim.harness.elsewhere import Elsewhere
from ivr_sim.harness.faults import check_faults
from ivr_sim.harness.judge import Seen, judge, unjudged
from ivr_sim.harness.many import error_of
from ivr_sim.harness.place import not_answered, telephone_of, verdict_of
from ivr_sim.harness.profile import manner_of
from ivr_sim.harness.scenario import Case
from ivr_sim.harness.script import ScriptedCaller
from ivr_sim.harness.story import BargeIn, Story
from ivr_sim.journal import CallEnded, Event, KeyMethod, PromptEnded, PromptStarted, Record
from ivr_sim.media import Samples
from ivr_sim.node import SHOP, local_now, open_library
from ivr_sim.prompts import Library, PicoVoice
from ivr_sim.prompts.recogniser import PromptBegun, PromptOver, Recogniser
from ivr_sim.reports.artefacts import Artefacts
from ivr_sim.reports.verdict import CallVerdict
from ivr_sim.sip.states import Ended

__all__ = ["Ear", "Visitor"]

# What a call comes to, by the last of these that was heard.
OUTCOMES = {
    "approved": "approved",
    "declined": "declined",
    "rejected": "rejected",
    "key_refused": "key_refused",
    "already_paid": "key_refused",
    "authorizer_failed": "authorizer_failed",
    "openpay_failed": "openpay_failed",
    "unknown_outcome": "unknown",
    "too_many_tries": "no_input",
    "time_limit": "no_input",
}
RESULTS = ("approved", "declined", "unknown")  # which no later prompt but another result takes back
ANOTHER = "another one"  # an amount that was heard whole and is not the one that is given


class Visitor:
    """Places calls at somebody else's IVR.

    data: the data folder, for the prompts to compare with. by: the way of keying, unless the scenario's.
    """

    def __init__(
        self,
        reactor: Any,
        there: Elsewhere,
        *,
        data: Path,
        artefacts: Artefacts,
        by: KeyMethod | None = None,
    ) -> None:
        self._reactor = reactor
        self._there = there
        self._accounts = cycle(there.accounts)
        self._data = data
        self._artefacts = artefacts
        self._by = by
        self._spoken: dict[str, tuple[Library, PicoVoice]] = {}

    async def stop(self) -> None:
        """End the voices that rendered prompts to compare with."""
        while self._spoken:
            _, (_, voice) = self._spoken.popitem()
            await voice.stop()

    async def place(self, case: Case) -> CallVerdict:
        """Place one call; what cannot be run is an ``error`` with its reason."""
        began = self._reactor.seconds()
        try:
            check_faults(case, virtual=False, own_authorizer=False, own_openpay=False)
            return await self._place(self._there.fitted(case), began)
        except IvrSimError as error:
            return error_of(case, str(error), self._reactor.seconds() - began)

    async def _place(self, case: Case, began: float) -> CallVerdict:
        scenario, there = case.scenario, self._there
        account = next(self._accounts)
        caller = caller_of(case, by=self._by)
        ear = Ear(Recogniser(await self._candidates(case)), caller)
        telephone = Telephone(caller, ear=ear.hear)
        async with AsyncExitStack() as stack:
            phone = telephone_of(
                self._reactor, there.server, account.user, account.password, scenario.faults, scenario.seed
            )
            stack.push_async_callback(phone.stop)
            await phone.start()
            ended = await telephone.dial(phone.agent, there.number or scenario.number)
        if telephone.problem:
            raise ConfigurationError(f"{case.path}: {telephone.problem}")
        seconds = len(telephone.heard) / 8000
        records = ear.records(ended, seconds) if len(telephone.heard) else [not_answered(ended)]
        seen = Seen(journal=False, barge_ins=ear.barge_ins(), step=failure_of(caller, case))
        story = Story(records)
        verdict = verdict_of(case, story, judge(case, story, seen), self._reactor.seconds() - began)
        left = [*unjudged(case, seen), *(["the amount, whose prompt was cut"] if ear.amount_cut else [])]
        if left and verdict.verdict == "pass":
            verdict = replace(verdict, reason=f"not judged, since the IVR is not ours: {', '.join(left)}")
        key_s = manner_of(scenario.caller).key_ms / 1000
        secret = [(onset, onset + key_s) for onset in caller.onsets]  # whatever it was
        return self._artefacts.keep(verdict, records, telephone.sent, telephone.heard, masks=(secret, ()))

    async def _candidates(self, case: Case) -> dict[Phrase, Samples]:
        """Every prompt that this call may hear, as we would say it."""
        language, given = case.scenario.language, case.scenario.given
        if language not in self._spoken:
            self._spoken[language] = open_library(self._reactor, self._data, language)
        library, _ = self._spoken[language]
        said = [
            *library.catalogue.closed().values(),
            phrase("welcome", merchant=SHOP),
            phrase("amount", amount=given.amount, currency="MXN", description=given.description),
        ]
        return {each: await library.sound(each) for each in said}


@dataclass
class _Heard:
    name: str
    start_s: float
    over: PromptOver | None = None


class Ear:
    """Listens for the caller, and remembers what was heard."""

    def __init__(self, recogniser: Recogniser, caller: ScriptedCaller) -> None:
        self._recogniser = recogniser
        self._caller = caller
        self._heard: list[_Heard] = []

    def hear(self, frame: Samples) -> None:
        """20 ms."""
        for event in self._recogniser.feed(frame):
            if isinstance(event, PromptBegun):
                self._heard.append(_Heard(event.name, event.start_s))
                self._caller.begun(event.name, None, t=event.start_s)
            elif self._heard:
                # Where the next prompt follows at once, nobody hears that the one before was cut.
                cut = event.cut or (event.phrase is None and bool(self._keyed_into(event)))
                over = self._heard[-1].over = replace(event, cut=cut)
                self._caller.over(cut=cut, params=None if cut else _params(over), t=over.end_s)

    def _keyed_into(self, over: PromptOver) -> list[float]:
        """When keys went down while a prompt was said."""
        return [onset for onset in self._caller.onsets if over.start_s <= onset <= over.end_s]

    @property
    def amount_cut(self) -> bool:
        """Whether an amount was said, and never to its end."""
        amounts = [heard for heard in self._heard if heard.name == "amount"]
        return bool(amounts) and all(heard.over is None or heard.over.cut for heard in amounts)

    def records(self, ended: Ended, seconds: float) -> list[Record]:
        """What was heard, as a journal would tell it."""
        told: list[tuple[float, Event]] = []
        for heard in self._heard:
            over = heard.over
            params = {} if over is None or over.cut else _params(over)
            told.append((heard.start_s, PromptStarted(name=heard.name, params=params)))
            cut: Literal["key", "hangup"] | None = "hangup" if over is None else "key" if over.cut else None
            told.append((seconds if over is None else over.end_s, PromptEnded(name=heard.name, cut_by=cut)))
        by: Literal["ivr", "caller"] = "ivr" if ended.by == "remote" else "caller"
        told.append((seconds, CallEnded(outcome=_outcome([h.name for h in self._heard]), cause=None, by=by)))
        return [Record(n, "0001", t, local_now(), event) for n, (t, event) in enumerate(told, 1)]

    def barge_ins(self) -> list[BargeIn]:
        """The prompts into which the caller keyed, and how long they went on, as far as that was heard."""
        found = []
        for over in (heard.over for heard in self._heard if heard.over is not None and heard.over.cut):
            keys = self._keyed_into(over)
            if keys and over.phrase is not None:
                found.append(BargeIn(over.name, keys[0], 1000 * (over.end_s - keys[0])))
        return found


def _params(over: PromptOver) -> dict[str, str]:
    """What a prompt that was heard whole has said, as far as that can be known."""
    if over.phrase is None:
        return {"amount": ANOTHER} if over.name == "amount" else {}
    return {name: str(value) for name, value in over.phrase.params.items()}


def _outcome(prompts: Sequence[str]) -> str:
    """What a call came to in which these prompts were heard."""
    outcome = "abandoned"
    for name in prompts:
        said = OUTCOMES.get(name)
        if outcome in RESULTS:
            outcome = said if said in (*RESULTS, "openpay_failed") else outcome
        elif name != "goodbye":
            outcome = said or "abandoned"  # the conversation went on
    return outcome
