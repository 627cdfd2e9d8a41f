"""The number that echoes: whoever calls it hears themselves, and knows that audio goes both ways."""

from __future__ import annotations

from ivr_sim.call import Call, phrase
from ivr_sim.dialogue.shop import Ending
from ivr_sim.dialogue.trial import held

__all__ = ["DELAY", "echo_test"]

DELAY = 0.2  # seconds: as an echo, not as one's own voice in the ear
FOREVER = 3600.0  # seconds: the call's own limit comes first


async def echo_test(call: Call) -> Ending:
    """Say what this number is, then play back what is heard, until the caller hangs up or the time limit."""
    return await held(call, _echo(call))


async def _echo(call: Call) -> None:
    await call.say(phrase("echo"), interruptible=False)
    call.echo(delay=DELAY)
    while True:  # keys change nothing; they are heard, in the journal, and as tones in the echo
        await call.collect(
            max_digits=1,
            terminator="",
            restart="",
            first_digit_timeout=FOREVER,
            digit_timeout=FOREVER,
        )
