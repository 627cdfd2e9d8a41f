"""A line takes no more calls than the machine can hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.task import Clock

from ivr_sim.lines.line import Line, PbxAccount
from ivr_sim.sip.address import Address


def test_a_call_that_would_harm_the_others_is_refused() -> None:
    media = SimpleNamespace(overloaded=False, host="127.0.0.1")
    taken: list[Any] = []
    refused: list[int] = []
    account = PbxAccount(user="ivr", password="x", server=Address("127.0.0.1", 5060))
    line = Line(Clock(), cast(Any, media), cast(Any, None), account, offered=taken.append)
    on_call = line._agents[0].on_call
    assert on_call is not None
    session = cast(Any, SimpleNamespace(reject=refused.append))
    on_call(session)
    assert (taken, refused) == ([session], [])
    media.overloaded = True
    on_call(session)
    assert (taken, refused) == ([session], [503])
