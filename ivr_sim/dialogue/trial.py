"""Calls to the numbers for trying a telephone out: how they end, which is by none of a payment's outcomes."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from ivr_sim.call import Call, CallerHungUp, CallTooLong, CannotSay, phrase
from ivr_sim.dialogue.shop import TRIED, Ending

__all__ = ["held"]


async def held(call: Call, talk: Coroutine[Any, Any, None]) -> Ending:
    """Hold the conversation to its end and end the call: tried, for whatever reason it ended.

    The cause: None if the conversation ended by itself, or hung_up, time_limit, no_voice.
    """
    cause: str | None = None
    farewell = [phrase("goodbye")]
    try:
        await talk
    except CallerHungUp:
        cause = "hung_up"
    except CallTooLong:
        cause, farewell = "time_limit", [phrase("time_limit"), phrase("goodbye")]
    except CannotSay:
        cause = "no_voice"
    with suppress(CallerHungUp, CallTooLong, CannotSay):
        await call.say(*farewell, interruptible=False)
    await call.hang_up()
    return Ending(TRIED, cause)
