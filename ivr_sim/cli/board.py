"""What `serve` prints when all is up: how to register, what to dial, what to key."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ivr_sim.cli.companion import at_terminal
from ivr_sim.node import ECHO, KEYPAD, MERCHANT_KEYS
from ivr_sim.openpay import TEST_CARDS
from ivr_sim.served import Served, caution
from ivr_sim.standing import STANDING

__all__ = ["show_board"]

AUDIO = {
    "off": "none (no SRTP, ZRTP or DTLS)",
    "allowed": "SRTP with SDES keys, or none",
    "required": "SRTP with SDES keys; calls without are refused",
}


def show_board(terminal: Console, served: Served, *, interactive: bool = True) -> None:
    """Print it."""
    settings, node = served.settings, served.node
    server = f"{served.host}:{node.exchange.port}"
    for name, port in served.ports.items():
        if port.instead_of is not None:
            terminal.print(
                f"[bold yellow]{name}: port {port.instead_of} is taken, another one is used instead[/]"
            )
    where = "in your network or on this machine" if settings.lan else "on this machine"
    hint = "" if settings.lan else " (telephones in the network: ivr-sim serve --lan)"
    terminal.print(
        f"[bold]Register a softphone[/bold] {where} at server (or domain) [bold]{server}[/bold], "
        f"transport UDP or TCP{hint}"
    )
    if node.tls is not None:
        secure = f"{served.host}:{node.exchange.tls_port}"
        terminal.print(
            f"or, with transport [bold]TLS[/bold], at [bold]{secure}[/bold] "
            f"(sip:{MERCHANT_KEYS}@{secure};transport=tls). To verify it, a telephone needs its certificate:"
        )
        terminal.print(Text(f"  {node.tls.certificate}\n  SHA-256 {node.tls.fingerprint}"))
    terminal.print(f"Media encryption: {AUDIO[settings.srtp]}.")
    careless = caution(settings)
    if careless is not None:
        terminal.print(Text(". ".join(careless), style="bold yellow"))
    accounts = _table("user", "password")
    for user in node.users:
        accounts.add_row(user, node.accounts[user])
    terminal.print(accounts)
    terminal.print(
        "Leave realm and proxy empty. Codecs PCMU and PCMA; DTMF by RFC 4733 (also called RFC 2833), "
        "SIP INFO or in-band tone."
    )
    if settings.lan:
        encrypted = "" if node.tls is None else f", TLS {node.exchange.tls_port}"
        terminal.print(
            f"[bold yellow]--lan[/]: SIP (UDP and TCP {node.exchange.port}{encrypted}) and RTP (UDP "
            f"{settings.rtp_first}-{settings.rtp_last}) are open to the network; "
            "every call and registration needs a password."
        )
    else:
        terminal.print("Calls from this machine need no password; registrations do.")
    if settings.register_at:
        terminal.print(f"The line is registered at {settings.register_at} as well: call it there.")
    if settings.lines:
        terminal.print(f"Calls are carried by {settings.lines} line processes, in turn.")
    terminal.print("\n[bold]Dial[/bold]")
    numbers = _table("number", "what answers")
    numbers.add_row(MERCHANT_KEYS, "the payment: key, amount, card, result; so does any number not listed")
    numbers.add_row(ECHO, "an echo of what you say")
    numbers.add_row(KEYPAD, "says each key back, and how it came")
    if node.users:
        numbers.add_row(f"{node.users[0]} …", "another softphone, while it is registered")
    terminal.print(numbers)
    if served.standing is not None:
        terminal.print("\n[bold]Payment keys[/bold], ended by #")
        keys = _table("key", "amount", "description", "what it does")
        for standing in STANDING:
            keys.add_row(standing.key, str(standing.amount), standing.description, standing.what)
        terminal.print(keys)
        if interactive and at_terminal():
            terminal.print("Press Enter for a fresh one.")
    else:
        terminal.print(f"\n[bold]Payment keys[/bold]: those of {settings.authorizer}")
    terminal.print("\n[bold]Test cards[/bold], any date to come, any security code (3 digits, Amex 4)")
    cards = _table("number", "brand", "what it does")
    for card in TEST_CARDS:
        if settings.openpay is None or not card.ours:
            declined = "" if card.error_code is None else f" ({card.error_code})"
            cards.add_row(card.number, card.brand, f"{card.note}{declined}")
    terminal.print(cards)
    plain = Text(f"\nauthorizer {served.merchant.authorizer_url}\nOpenpay    {served.merchant.openpay_url}\n")
    terminal.print(plain)
    first = "5009 and press keys; then 5000: 100001#, 1, 4111111111111111, 1230, 123"
    terminal.print(Text(f"A first call: dial {first}"))
    terminal.print(
        Text(f"Calls are kept in {served.data / 'calls'}; ivr-sim report last makes a zip of one.")
    )
    terminal.print("Something wrong? It is told here; and try ivr-sim doctor. Ctrl-C ends.")
    terminal.rule(style="dim")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 2))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
