"""`ivr-sim serve`: everything up for softphones, until Ctrl-C."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import CancelledError

from ivr_sim.call import Phrase
from ivr_sim.cli.board import show_board
from ivr_sim.cli.companion import Companion, fresh_keys
from ivr_sim.cli.running import Terminal, open_data_folder, run
from ivr_sim.errors import ConfigurationError
from ivr_sim.garbage_collection import GarbageCollection
from ivr_sim.kept import write_private
from ivr_sim.prompts import Catalogue
from ivr_sim.reports import Transcript
from ivr_sim.served import AUTHORIZER_PASSWORD, OPENPAY_KEY, REGISTER_PASSWORD, Served, prepare, state_of
from ivr_sim.settings import Settings, load


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
@click.option(
    "--lines",
    type=click.IntRange(0, 64),
    help="Carry the calls in so many processes of their own.  [default: 0, in this one]",
)
@click.option("--language", help="What the line speaks: es-MX or en-US.  [default: es-MX]")
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="The data folder.  [default: .ivr-sim]"
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def serve(config: Path | None, state: Path | None, command: Sequence[str], **flags: Any) -> None:
    """Run exchange, IVR, authorizer and Openpay stand-in until Ctrl-C; say how to dial and pay.

    With `-- COMMAND ...` they run beside that command and end with it, with its exit code; IVR_SIM_STATE
    names the state file for it. `ivr-sim config` lists every setting.
    """
    settings, _ = load(flags, os.environ, config)
    data = open_data_folder(settings.data)
    terminal = Terminal(highlight=False, soft_wrap=True)
    over: list[int] = []
    try:
        run(
            lambda reactor: _serve(reactor, terminal, settings, data, state, command, over),
            told="ivr-sim: stopping; calls are ended, charges under way awaited",
        )
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
    served = prepare(reactor, settings, data, os.environ)
    catalogue = Catalogue(settings.language)
    served.journal.subscribe(
        Transcript(terminal, lambda name, params: catalogue.text(Phrase(name, params)), named=True)
    )
    code = 0
    written: Path | None = None
    collection = GarbageCollection(reactor, lambda: served.node.busy)
    try:
        await served.start()
        collection.start()
        show_board(terminal, served, interactive=not command)
        if state is None and command:
            state = data / f"state-{os.getpid()}.json"
        if state is not None:
            _write_state(state, served)
            written = state
        stop_keys = fresh_keys(reactor, terminal, served, interactive=not command)
        try:
            if command:
                code = await Companion(reactor, command, state).run()
            else:
                await served.lines_lost()
        except CancelledError:
            pass
        finally:
            stop_keys()
        if served.lines_given_up and not code:
            code = 2
    finally:
        if written is not None:
            with suppress(OSError):
                written.unlink()
        collection.stop()
        await served.stop()
    over.append(code)


def _write_state(path: Path, served: Served) -> None:
    try:
        write_private(path, json.dumps(state_of(served), indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise ConfigurationError(f"the state cannot be written to {path}: {error.strerror}") from error
