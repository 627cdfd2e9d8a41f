"""The transcript: a call as it happens, line by line, in a terminal.

Reads the journal and nothing else, so it can show no digit that the journal does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.console import Console
from rich.text import Text

from ivr_sim import journal as j

__all__ = ["Transcript"]

METHODS = {"rfc4733": "RFC 4733", "info": "SIP INFO", "inband": "in-band tone"}
Words = Callable[[str, Mapping[str, str]], str]


class Transcript:
    """A reader of the journal that prints what happens.

    words: the text of a phrase by name and parameters. Keys of one entry are gathered into one line.
    named: whether each line begins with the call's name, for when there are several at a time.
    """

    def __init__(self, console: Console, words: Words, *, named: bool = False) -> None:
        self._console = console
        self._words = words
        self._named = named
        self._keys: dict[str | None, list[tuple[float | None, j.KeyPressed]]] = {}  # by call, not shown yet

    def __call__(self, record: j.Record) -> None:
        """Show one event."""
        event = record.event
        if isinstance(event, j.KeyPressed):
            self._keys.setdefault(record.call, []).append((record.t, event))
            return
        if isinstance(event, j.PromptEnded) and event.cut_by == "key":
            return  # the keys that follow say it
        self._show_keys(record.call)
        line = self._line(event)
        if line is not None:
            self._print(record.call, record.t, *line)

    def _show_keys(self, call: str | None) -> None:
        pressed = self._keys.pop(call, [])
        if not pressed:
            return
        keys = [key for _, key in pressed]
        times = "" if len(keys) == 1 else "s"
        how = ", ".join(sorted({METHODS[k.method] for k in keys}))
        levels = [k.level_dbm0 for k in keys if k.level_dbm0 is not None]
        level = f", {sum(levels) / len(levels):.0f} dBm0" if levels else ""
        self._print(
            call, pressed[0][0], "payer", f"{'•' * len(keys)}  {len(keys)} key{times} ({how}{level})", "cyan"
        )

    def _line(self, event: j.Event) -> tuple[str, str, str] | None:
        match event:
            case j.CallOffered():
                agent = f" ({event.user_agent})" if event.user_agent else ""
                return "call", f"{event.from_} calls {event.to}{agent}", "bold"
            case j.CallAnswered():
                methods = ", ".join(METHODS[m] for m in event.key_methods)
                return "call", f"answered: {event.codec}; keys by {methods}", "bold"
            case j.CallFailed():
                return "call", f"failed: {event.status} {event.reason}", "bold red"
            case j.PromptStarted():
                return "IVR", f"«{self._words(event.name, event.params)}»", "green"
            case j.EntryAccepted():
                shown = event.value if event.value is not None else f"{event.length} digits, kept secret"
                return "entry", f"{event.field}: {shown}", "dim"
            case j.EntryRefused():
                return "entry", f"{event.field} refused: {event.reason}", "yellow"
            case j.AuthorizerReplied():
                status = "no answer" if event.status is None else f"HTTP {event.status}"
                style = "magenta" if event.cause in ("ok", "refused") else "bold red"
                return "HTTP", f"POST authorizer → {status}, {event.cause}, {event.ms} ms", style
            case j.ChargeSent():
                text = f"charge of {event.amount} for order {event.order_id} sent to Openpay"
                return "HTTP", text, "magenta"
            case j.ChargeSettled():
                code = f" ({event.error_code})" if event.error_code else ""
                charge = f", charge {event.charge_id}" if event.charge_id else ""
                return "HTTP", f"charge → {event.result}{code}{charge}, {event.ms} ms", "magenta"
            case j.ChargeReconciled():
                code = f" ({event.error_code})" if event.error_code else ""
                charge = f", charge {event.charge_id}" if event.charge_id else ""
                text = f"charge of {event.amount} for order {event.order_id} found to be {event.result}"
                return "HTTP", f"{text}{code}{charge}", "magenta"
            case j.KeyRefused():
                level = "" if event.level_dbm0 is None else f", {event.level_dbm0:.0f} dBm0"
                twist = "" if event.twist_db is None else f", twist {event.twist_db:.0f} dB"
                return (
                    "payer",
                    f"a key not taken: {event.reason} ({event.duration_ms} ms{level}{twist})",
                    "yellow",
                )
            case j.Finding():
                return "note", f"{event.what} {event.advice}", "bold yellow"
            case j.PhoneRegistered():
                agent = f" ({event.user_agent})" if event.user_agent else ""
                return "phone", f"{event.user} registered from {event.source}{agent}", "bold green"
            case j.PhoneUnregistered():
                return "phone", f"{event.user} has left", "dim"
            case j.SourceBanned():
                text = f"{event.source} is not listened to for {event.seconds} s: {event.reason}"
                return "guard", text, "bold yellow"
            case j.LineStarted():
                return "line", f"{event.line} takes calls (process {event.pid})", "dim"
            case j.LineEnded():
                calls = {0: "no call", 1: "1 call"}.get(event.calls, f"{event.calls} calls")
                then = "is started again" if event.again_in is not None else "is given up: see the log"
                return "line", f"{event.line} has ended ({event.why}) with {calls}, and {then}", "bold red"
            case j.CallEnded():
                cause = f" ({event.cause})" if event.cause else ""
                return "call", f"ended by the {_who(event.by)}: {event.outcome}{cause}", "bold"
        return None

    def _print(self, call: str | None, t: float | None, who: str, text: str, style: str) -> None:
        # What a telephone or a merchant sent must not steer the terminal.
        text = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
        stamp = "       " if t is None else f"{t:6.2f}s"
        if self._named:
            stamp = f"{call or '':<4} {stamp}"
        self._console.print(Text(f"{stamp}  {who:<6} ") + Text(text, style=style), soft_wrap=True)


def _who(by: str) -> str:
    return {"ivr": "IVR", "caller": "caller"}[by]
