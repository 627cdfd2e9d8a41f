"""`ivr-sim demo`: one automated call, end to end, on loopback."""

from __future__ import annotations

import secrets
import sys
from datetime import timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import click

from ivr_sim.call import Phrase
from ivr_sim.cli.running import (
    Terminal,
    data_option,
    open_data_folder,
    open_private,
    run,
)
from ivr_sim.harness import FAULTS, LATE_SECONDS, Caller, Script, late
from ivr_sim.journal import CallEnded, Journal, JsonLines, RecordingWritten
from ivr_sim.merchant import Merchant
from ivr_sim.node import MERCHANT, MERCHANT_KEYS, Node, local_now
from ivr_sim.openpay import TEST_CARDS
from ivr_sim.prompts import DEFAULT_LANGUAGE, LANGUAGES, Catalogue
from ivr_sim.reports import Transcript

PAYER = "1001"
AMOUNT = Decimal("200.00")
FAULTS_HERE = ["authorizer_down", "authorizer_late", "card_declined"]


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where journal and recording go.  [default: a new folder in the data folder]",
)
@click.option(
    "--fault",
    type=click.Choice(FAULTS_HERE),
    help="; ".join(f"{name}: {FAULTS[name].what}" for name in FAULTS_HERE) + ".",
)
@click.option(
    "--language",
    type=click.Choice(sorted(LANGUAGES)),
    default=DEFAULT_LANGUAGE,
    show_default=True,
    help="What the IVR speaks.",
)
@data_option
def demo(out: Path | None, fault: str | None, language: str, data: Path) -> None:
    """Place one call that pays, and print it as it happens.

    A test caller registers and dials over SIP, keys by in-band tones, and pays a fresh payment key with
    a test card. Exit code 0 when the charge was approved, 1 when it was not, 2 when the demo could not
    be run.
    """
    data = open_data_folder(data)
    out = open_data_folder(out or _fresh(data / f"demo-{local_now():%Y%m%d-%H%M%S}"))
    sys.exit(run(lambda reactor: _demo(reactor, Terminal(), data, out, fault, language)))


async def _demo(
    reactor: Any, console: Terminal, data: Path, out: Path, fault: str | None, language: str
) -> int:
    catalogue = Catalogue(language)
    journal = Journal(local_now)
    ended: list[CallEnded] = []
    recordings: list[str] = []
    plain: dict[str, Any] = {"markup": False, "soft_wrap": True}  # a folder's name may hold [ and ]
    console.print(f"data folder {data}; journal and recording in {out}", style="dim", **plain)
    with open_private(out / "journal.jsonl") as lines:
        journal.subscribe(JsonLines(lines))
        journal.subscribe(Transcript(console, lambda name, params: catalogue.text(Phrase(name, params))))
        journal.subscribe(lambda r: ended.append(r.event) if isinstance(r.event, CallEnded) else None)
        journal.subscribe(
            lambda r: recordings.append(r.event.path) if isinstance(r.event, RecordingWritten) else None
        )
        around = late(LATE_SECONDS) if fault == "authorizer_late" else None
        merchant = Merchant(reactor, data / MERCHANT, now=local_now, around=around)
        merchant.start()
        node = Node(reactor, merchant, journal, data=data, out=out, accounts=(PAYER,), language=language)
        payer = None
        try:
            await node.start()
            if fault == "authorizer_down":
                await merchant.authorizer.stop()
            # The merchant stays, and an order of its has one key for ever.
            order_id = f"demo-{local_now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
            key = merchant.keys.issue(AMOUNT, "Cargo IVR", order_id, expires_in=timedelta(hours=1))
            console.print(
                f"[bold]A payer calls {MERCHANT_KEYS} to pay {key.amount} MXN for order {key.order_id} "
                f"with payment key {key.key}[/bold]" + (f" (fault: {fault})" if fault else ""),
                soft_wrap=True,
            )
            payer = node.phone(PAYER)
            await payer.start()
            wanted = 3001 if fault == "card_declined" else None
            card = next(card.number for card in TEST_CARDS if card.error_code == wanted)
            await Caller(payer, journal).call(MERCHANT_KEYS, _script(key.key, card))
            await node.settle()
            charges = merchant.completed(key.order_id, key.amount)
        finally:
            if payer is not None:
                await payer.stop()
            await node.stop()
            await merchant.stop()
    outcome = ended[0].outcome if ended else "none"
    good = outcome == "approved" and len(charges) == 1
    console.print()
    console.print(
        f"charges:   {len(charges)} completed for order {key.order_id}, {key.amount} MXN each", soft_wrap=True
    )
    console.print(f"journal:   {out / 'journal.jsonl'}", **plain)
    console.print(f"recording: {recordings[0] if recordings else 'none'} (card tones masked)", **plain)
    console.print(f"[bold {'green' if good else 'red'}]verdict:   {outcome}[/]")
    return 0 if good else 1


def _fresh(path: Path) -> Path:
    """This folder, or one with a number when another demo of this very second has it."""
    for n in count(2):
        try:
            path.mkdir()
        except FileExistsError:
            path = path.with_name(f"{path.name.split('_')[0]}_{n}")
        else:
            break
    return path


def _script(key: str, card: str) -> Script:
    """A payer who accepts, pays, and does not try a second card."""
    return Script(
        answers={
            "ask_key": [f"{key}#"],
            "ask_accept": ["1"],
            "ask_card": [card],
            "ask_expiry": [f"12{(local_now().year + 2) % 100:02d}"],
            "ask_cvv": ["123"],
            "ask_another_card": ["2"],
        }
    )
