"""`ivr-sim charges`: what the ledger holds, and Openpay's word on what stands open in it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import click
from rich.table import Table
from rich.text import Text
from twisted.internet.defer import DeferredSemaphore, gatherResults, maybeDeferred

from ivr_sim.cli.running import Terminal, data_option, run
from ivr_sim.clients import Cashier, OpenpayAcquirer, OpenpayClient, OpenpayRefused, OpenpayUnreachable
from ivr_sim.errors import ConfigurationError
from ivr_sim.journal import Journal
from ivr_sim.ledger import Ledger, LedgerEntry
from ivr_sim.merchant import Merchant
from ivr_sim.node import LEDGER, MERCHANT, ZONE, local_now

OPENPAY_KEY = "IVR_OPENPAY_KEY"
AT_ONCE = 20  # entries that Openpay is asked about at a time
PIPED = 250  # columns where no window sets their number: no line is broken


@click.command()
@click.option("--settle", is_flag=True, help="Ask Openpay what came of the open ones; takes up to 30 s.")
@click.option("--all", "everything", is_flag=True, help="List the settled ones, too.")
@click.option(
    "--json", "report", type=click.File("w", encoding="utf-8", lazy=False), help="Write what is listed here."
)
@click.option(
    "--openpay",
    "url",
    metavar="URL",
    help="Settle by this Openpay (up to /v1) instead of the data folder's own stand-in; "
    f"the private key comes from {OPENPAY_KEY}.",
)
@click.option("--merchant-id", metavar="ID", help="The account at that Openpay.")
@data_option
def charges(
    settle: bool,
    everything: bool,
    report: IO[str] | None,
    url: str | None,
    merchant_id: str | None,
    data: Path,
) -> None:
    """List the charges whose outcome is not known yet, and settle them.

    Exit code 0 when none is open (any more), 1 when one is, 2 when that could not be found out.
    """
    if (url is None) != (merchant_id is None) or (url is not None and not settle):
        raise click.UsageError("--openpay URL goes with --settle and --merchant-id ID")
    terminal = Terminal(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPED)
    path = data.absolute() / LEDGER
    if not path.exists():
        terminal.print(f"no charges yet: there is no {path}", soft_wrap=True)
        _write(report, [])
        return
    ledger = Ledger(f"sqlite:///{path}", now=local_now)
    try:
        shown = {entry.attempt for entry in ledger.entries(open_only=not everything)}
        if settle and shown:
            run(lambda reactor: _settle(reactor, terminal, ledger, data, url, merchant_id))
        entries = ledger.entries()
    finally:
        ledger.close()
    listed = [entry for entry in entries if entry.attempt in shown]
    _show(terminal, listed)
    still_open = sum(entry.result is None for entry in entries)
    terminal.print(f"{still_open} open, {len(entries) - still_open} settled in {path}", soft_wrap=True)
    _write(report, listed)
    sys.exit(1 if still_open else 0)


async def _settle(
    reactor: Any, terminal: Terminal, ledger: Ledger, data: Path, url: str | None, merchant_id: str | None
) -> None:
    """Ask one account's Openpay about all of its entries that are open."""
    own = None
    try:
        if url is None or merchant_id is None:
            own = Merchant(reactor, data / MERCHANT, now=local_now)
            own.openpay.start()
            url, merchant_id, private_key = f"{own.openpay.url}/v1", own.merchant_id, own.private_key
        else:
            private_key = os.environ.get(OPENPAY_KEY, "")
            if not private_key:
                raise ConfigurationError(f"set {OPENPAY_KEY} to the private key of {merchant_id}")
        still_open = ledger.entries(open_only=True)
        ours = [entry for entry in still_open if entry.account == merchant_id]
        if len(ours) < len(still_open):
            terminal.print(
                f"{len(still_open) - len(ours)} open of another account than {merchant_id}: "
                "name theirs by --openpay and --merchant-id",
                soft_wrap=True,
            )
        if not ours:
            return
        client = OpenpayClient(reactor, url, merchant_id, private_key)
        await _check(client, url)
        terminal.print(f"asking Openpay about {len(ours)}, for up to 30 s each …", soft_wrap=True)
        cashier = Cashier(
            OpenpayAcquirer(client, reactor),
            ledger,
            reactor,
            account=merchant_id,
            journal=Journal(local_now),
            now=local_now,
            in_thread=maybeDeferred,  # nothing else runs here that the ledger could hold up
        )
        line = DeferredSemaphore(AT_ONCE)
        await gatherResults([line.run(cashier.settle, entry) for entry in ours], consumeErrors=True)
    finally:
        if own is not None:
            await own.stop()


async def _check(client: OpenpayClient, url: str) -> None:
    """See that this account may ask. Raises ConfigurationError: no silence is then taken for an answer."""
    try:
        await client.list_charges(limit=1)
    except (OpenpayRefused, OpenpayUnreachable) as failed:
        raise ConfigurationError(f"Openpay at {url} cannot be asked: {failed}") from None


def _show(terminal: Terminal, entries: Sequence[LedgerEntry]) -> None:
    if not entries:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("opened", "call", "order", "amount", "attempt", "account", "result", "charge"):
        table.add_column(name, justify="right" if name == "amount" else "left", overflow="fold")
    for entry in entries:
        cells = (
            f"{entry.opened.astimezone(ZONE):%Y-%m-%d %H:%M:%S}",
            entry.call,
            entry.order_id,
            f"{entry.amount} {entry.currency}",
            entry.attempt,
            entry.account,
            (entry.result or "open") + (f" ({entry.error_code})" if entry.error_code else ""),
            entry.charge_id or "",
        )
        table.add_row(*(Text(_printable(cell)) for cell in cells), style=None if entry.result else "yellow")
    terminal.print(table)


def _printable(text: str) -> str:
    """Without signs that would steer the terminal: a merchant's order_id may hold anything."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _write(report: IO[str] | None, entries: Sequence[LedgerEntry]) -> None:
    if report is None:
        return
    whole = {
        "v": 1,
        "open": sum(entry.result is None for entry in entries),
        "charges": [_as_json(entry) for entry in entries],
    }
    json.dump(whole, report, ensure_ascii=False, indent=1)
    report.write("\n")


def _as_json(entry: LedgerEntry) -> dict[str, object]:
    return {
        "attempt": entry.attempt,
        "account": entry.account,
        "call": entry.call,
        "order_id": entry.order_id,
        "amount": str(entry.amount),
        "currency": entry.currency,
        "opened": _moment(entry.opened),
        "settled": _moment(entry.settled),
        "result": entry.result,
        "charge_id": entry.charge_id,
        "error_code": entry.error_code,
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(ZONE).isoformat(timespec="seconds")
