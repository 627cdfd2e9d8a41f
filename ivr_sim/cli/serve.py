"""`ivr-sim serve`: everything up for softphones, until Ctrl-C."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import CancelledError, Deferred

from ivr_sim.accounts import kept_accounts
from ivr_sim.call import Phrase
from ivr_sim.cli.board import show_board
from ivr_sim.cli.companion import Companion, fresh_keys
from ivr_sim.cli.running import Terminal, merchant_folder, open_data_folder, run
from ivr_sim.dialogue import Limits
from ivr_sim.errors import ConfigurationError
from ivr_sim.journal import Journal
from ivr_sim.kept import write_private
from ivr_sim.merchant import Merchant, Outside
from ivr_sim.node import Node, PbxAccount, local_now
from ivr_sim.ports import Port, choose
from ivr_sim.prompts import Catalogue
from ivr_sim.reports import Transcript
from ivr_sim.served import Served, state_of
from ivr_sim.settings import Settings, load
from ivr_sim.sip.message import BadMessage
from ivr_sim.sip.uri import Uri
from ivr_sim.sip.user_agent import RegistrationRefused
from ivr_sim.standing import StandingKeys

SIP, AUTHORIZER, OPENPAY = 5060, 8081, 8082  # ports, unless others are asked for
REGISTER_PASSWORD = "IVR_SIM_REGISTER_PASSWORD"
AUTHORIZER_PASSWORD, OPENPAY_KEY = "IVR_AUTHORIZER_PASSWORD", "IVR_OPENPAY_KEY"


@click.command(context_settings={"ignore_unknown_options": False})
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings, instead of ivr-sim.toml."
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write here, as JSON, how to reach it all.",
)
@click.option(
    "--lan",
    is_flag=True,
    default=None,
    help="Telephones in the network may call: opens SIP and RTP, nothing else.",
)
@click.option("--advertise", metavar="ADDRESS", help="The address that telephones elsewhere are told.")
@click.option(
    "--http-host", metavar="ADDRESS", help="Where authorizer and stand-in listen.  [default: 127.0.0.1]"
)
@click.option("--sip-port", type=click.IntRange(0, 65535), help="[default: 5060]")
@click.option(
    "--register",
    "register_at",
    metavar="sip:USER@PBX",
    help=f"Register the line at a PBX, too; password from {REGISTER_PASSWORD}.",
)
@click.option(
    "--authorizer",
    metavar="URL",
    help=f"Ask this authorizer instead of ours; password from {AUTHORIZER_PASSWORD}.",
)
@click.option("--user", metavar="USER", help="The user that Openpay has at that authorizer.")
@click.option(
    "--openpay",
    metavar="URL",
    help=f"Charge at this Openpay sandbox, up to /v1; private key from {OPENPAY_KEY}.",
)
@click.option("--merchant-id", metavar="ID", help="The account at that Openpay.")
@click.option("--language", help="What the line speaks: es-MX or en-US.  [default: es-MX]")
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="The data folder.  [default: .ivr-sim]"
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def serve(config: Path | None, state: Path | None, command: Sequence[str], **flags: Any) -> None:
    """Run exchange, IVR, authorizer and Openpay stand-in until Ctrl-C; say how to dial and pay.

    With `-- COMMAND ...` they run beside that command and end with it, with its exit code; IVR_SIM_STATE
    names the state file for it.
    """
    settings, _ = load(flags, os.environ, config)
    data = open_data_folder(settings.data)
    terminal = Terminal(highlight=False, soft_wrap=True)
    over: list[int] = []
    try:
        run(lambda reactor: _serve(reactor, terminal, settings, data, state, command, over))
    except SystemExit:
        if not over:
            raise
    sys.exit(over[0])


async def _serve(
    reactor: Any,
    terminal: Terminal,
    settings: Settings,
    data: Path,
    state: Path | None,
    command: Sequence[str],
    over: list[int],
) -> None:
    """Serve until cancelled, or until the command ends; ``over`` gets the exit code of a clean end."""
    served = _prepare(reactor, settings, data)
    journal, node, merchant = served.journal, served.node, served.merchant
    catalogue = Catalogue(settings.language)
    journal.subscribe(
        Transcript(terminal, lambda name, params: catalogue.text(Phrase(name, params)), named=True)
    )
    merchant.start()
    try:
        if served.standing is not None:
            served.standing.issue(merchant.keys, merchant.keys_url)
            journal.subscribe(served.standing.read)
        await _start(node, settings)
        show_board(terminal, served)
        if state is None and command:
            state = data / "state.json"
        if state is not None:
            _write_state(state, served)
        stop_keys = fresh_keys(reactor, terminal, served)
        try:
            if command:
                over.append(await Companion(reactor, command, state).run())
            else:
                await Deferred()
        except CancelledError:
            terminal.print("stopping: calls are ended, charges under way awaited", style="dim")
            over.append(0)
        finally:
            stop_keys()
    finally:
        if state is not None:
            state.unlink(missing_ok=True)
        await node.stop()
        await merchant.stop()


def _prepare(reactor: Any, settings: Settings, data: Path) -> Served:
    host = "0.0.0.0" if settings.lan else "127.0.0.1"  # noqa: S104  that is what --lan asks for
    ports = {
        "SIP": choose(host, SIP, settings.sip_port, socket.SOCK_DGRAM),
        "authorizer": choose(settings.http_host, AUTHORIZER, settings.authorizer_port, socket.SOCK_STREAM),
        "Openpay stand-in": choose(settings.http_host, OPENPAY, settings.openpay_port, socket.SOCK_STREAM),
    }
    if settings.authorizer is not None:
        del ports["authorizer"]
    if settings.openpay is not None:
        del ports["Openpay stand-in"]
    standing = StandingKeys(now=local_now) if settings.authorizer is None else None
    merchant = Merchant(
        reactor,
        merchant_folder(data),
        now=local_now,
        host=settings.http_host,
        authorizer_port=ports.get("authorizer", Port(0)).number,
        openpay_port=ports.get("Openpay stand-in", Port(0)).number,
        around=standing.around if standing else None,
        at_authorizer=_outside(settings.authorizer, settings.user, AUTHORIZER_PASSWORD, "--user"),
        at_openpay=_outside(settings.openpay, settings.merchant_id, OPENPAY_KEY, "--merchant-id"),
    )
    journal = Journal(local_now)
    node = Node(
        reactor,
        merchant,
        journal,
        data=data,
        calls=data / "calls",
        name=settings.shop,
        accounts=kept_accounts(data),
        host=host,
        advertise=settings.advertise,
        sip_port=ports["SIP"].number,
        rtp_ports=(settings.rtp_first, settings.rtp_last),
        register=_pbx(settings.register_at),
        language=settings.language,
        limits=Limits(key_length=settings.key_length),
    )
    return Served(settings, data, journal, node, merchant, standing, ports)


async def _start(node: Node, settings: Settings) -> None:
    try:
        await node.start()
    except RegistrationRefused as refused:
        where = f" at {settings.register_at}" if settings.register_at else ""
        raise ConfigurationError(f"the line could not register{where}: {refused}") from refused


def _outside(url: str | None, user: str | None, variable: str, option: str) -> Outside | None:
    if url is None:
        return None
    if not user:
        raise ConfigurationError(f"{option} is needed beside {url}")
    password = os.environ.get(variable)
    if not password:
        raise ConfigurationError(f"set {variable} to the password of {user} at {url}")
    return Outside(url, user, password)


def _pbx(address: str | None) -> PbxAccount | None:
    if address is None:
        return None
    try:
        uri = Uri.parse(address)
        host, port = uri.address()
    except BadMessage:
        raise ConfigurationError(f"--register takes sip:USER@HOST[:PORT], not {address!r}") from None
    if not uri.user:
        raise ConfigurationError(f"--register takes sip:USER@HOST[:PORT], and {address!r} names no user")
    try:
        host = socket.gethostbyname(host)
    except OSError:
        raise ConfigurationError(f"the PBX {host!r} has no address: is the name right?") from None
    return PbxAccount(user=uri.user, password=os.environ.get(REGISTER_PASSWORD, ""), server=(host, port))


def _write_state(path: Path, served: Served) -> None:
    try:
        write_private(path, json.dumps(state_of(served), indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise ConfigurationError(f"the state cannot be written to {path}: {error.strerror}") from error
