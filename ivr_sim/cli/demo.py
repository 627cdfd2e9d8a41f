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
from ivr_sim.harness import FAULTS, Caller, Faults, Script, way_to_authorizer, way_to_openpay
from ivr_sim.harness.place import telephone_of
from ivr_sim.journal import CallEnded, Journal, JsonLines, KeyMethod, RecordingWritten
from ivr_sim.merchant import Merchant
from ivr_sim.node import MERCHANT, MERCHANT_KEYS, Node, local_now
from ivr_sim.openpay import TEST_CARDS
from ivr_sim.prompts import DEFAULT_LANGUAGE, LANGUAGES, Catalogue
from ivr_sim.reports import Transcript
from ivr_sim.sip.transport import Address

PAYER = "1001"
AMOUNT = Decimal("200.00")
SEED = 1


@click.command(
    epilog="\b\nFaults:\n" + "\n".join(f"  {name:29} {named.what}" for name, named in FAULTS.items())
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where journal and recording go.  [default: a new folder in the data folder]",
)
@click.option(
    "--fault",
    type=click.Choice(sorted(FAULTS)),
    metavar="NAME",
    help="What goes wrong: one of the names below.",
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

    A test caller registers and dials over SIP, keys by in-band tones (where RTP has faults, by telephone
    events), and pays a fresh payment key with a test card. Exit code 0 when the charge was approved, 1 when
    it was not, 2 when the demo could not be run.
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
        named = FAULTS.get(fault or "")
        faults = named.faults if named else Faults()
        merchant = Merchant(
            reactor,
            data / MERCHANT,
            now=local_now,
            to_authorizer=way_to_authorizer(reactor, faults),
            to_openpay=way_to_openpay(reactor, faults),
        )
        merchant.start()
        node = Node(reactor, merchant, journal, data=data, out=out, accounts=(PAYER,), language=language)
        payer = None
        try:
            await node.start()
            # The merchant stays, and an order of its has one key for ever.
            order_id = f"demo-{local_now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
            key = merchant.keys.issue(AMOUNT, "Cargo IVR", order_id, expires_in=timedelta(hours=1))
            console.print(
                f"[bold]A payer calls {MERCHANT_KEYS} to pay {key.amount} MXN for order {key.order_id} "
                f"with payment key {key.key}[/bold]" + (f" (fault: {fault})" if fault else ""),
                soft_wrap=True,
            )
            server = Address("127.0.0.1", node.exchange.port)
            payer = telephone_of(reactor, server, PAYER, node.accounts[PAYER], faults, SEED)
            await payer.start()
            await Caller(payer.agent, journal).call(MERCHANT_KEYS, _script(key.key, _way_of_keying(faults)))
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
    if named:
        console.print(f"fault:     {named.what}; what must come of it: {named.must}", soft_wrap=True)
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


def _way_of_keying(faults: Faults) -> KeyMethod:
    """By tones, unless packets go astray: no telephone keys by them on such a network."""
    return "rfc4733" if any(name.startswith("rtp_") for name in faults.asked_for) else "inband"


def _script(key: str, by: KeyMethod) -> Script:
    """A payer who accepts, pays, and does not try a second card."""
    return Script(
        by=by,
        answers={
            "ask_key": [f"{key}#"],
            "ask_accept": ["1"],
            "ask_card": [next(card.number for card in TEST_CARDS if card.error_code is None)],
            "ask_expiry": [f"12{(local_now().year + 2) % 100:02d}"],
            "ask_cvv": ["123"],
            "ask_another_card": ["2"],
        },
    )
