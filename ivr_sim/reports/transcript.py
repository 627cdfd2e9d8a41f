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
    """

    def __init__(self, console: Console, words: Words) -> None:
        self._console = console
        self._words = words
        self._keys: list[j.KeyPressed] = []
        self._since: float | None = None

    def __call__(self, record: j.Record) -> None:
        """Show one event."""
        event = record.event
        if isinstance(event, j.KeyPressed):
            if not self._keys:
                self._since = record.t
            self._keys.append(event)
            return
        if isinstance(event, j.PromptEnded) and event.cut_by == "key":
            return  # the keys that follow say it
        self._show_keys(event)
        line = self._line(event)
        if line is not None:
            self._print(record.t, *line)

    def _show_keys(self, event: j.Event) -> None:
        if not self._keys:
            return
        keys, self._keys = self._keys, []
        times = "" if len(keys) == 1 else "s"
        how = ", ".join(sorted({METHODS[k.method] for k in keys}))
        levels = [k.level_dbm0 for k in keys if k.level_dbm0 is not None]
        level = f", {sum(levels) / len(levels):.0f} dBm0" if levels else ""
        self._print(self._since, "payer", f"{'•' * len(keys)}  {len(keys)} key{times} ({how}{level})", "cyan")

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
            case j.CallEnded():
                cause = f" ({event.cause})" if event.cause else ""
                return "call", f"ended by the {_who(event.by)}: {event.outcome}{cause}", "bold"
        return None

    def _print(self, t: float | None, who: str, text: str, style: str) -> None:
        # What a telephone or a merchant sent must not steer the terminal.
        text = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
        stamp = "       " if t is None else f"{t:6.2f}s"
        self._console.print(Text(f"{stamp}  {who:<6} ") + Text(text, style=style), soft_wrap=True)


def _who(by: str) -> str:
    return {"ivr": "IVR", "caller": "caller"}[by]
