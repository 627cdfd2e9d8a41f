"""`ivr-sim record`: softphone calls, kept as recordings with labels that replay to the same story."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.utils import getProcessOutputAndValue

from ivr_sim.call import Phrase
from ivr_sim.cli.board import show_board
from ivr_sim.cli.running import Terminal, open_data_folder, run
from ivr_sim.errors import ConfigurationError
from ivr_sim.harness.record import CallRecorder, Recorded, check_free
from ivr_sim.node import local_today
from ivr_sim.prompts import Catalogue
from ivr_sim.reports import Transcript
from ivr_sim.served import Served, prepare
from ivr_sim.settings import Settings, load


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("calls"),
    show_default=True,
    help="Where recordings and labels go.",
)
@click.option("--name", help="Of the recording, and its label.  [default: its outcome and number]")
@click.option("--calls", type=click.IntRange(1), help="End after so many recordings.  [default: at Ctrl-C]")
@click.option(
    "--lan",
    is_flag=True,
    default=None,
    help="Telephones in the network may call: opens SIP and RTP, nothing else.",
)
@click.option("--sip-port", type=click.IntRange(0, 65535), help="[default: 5060]")
@click.option("--language", help="What the line speaks: es-MX or en-US.  [default: es-MX]")
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="The data folder.  [default: .ivr-sim]"
)
def record(out: Path, name: str | None, calls: int | None, **flags: Any) -> None:
    """Answer softphone calls like `serve`, and keep each as NAME.wav and NAME.call.yaml for `replay`.

    The recording is the caller's side as it came, with every key as a tone in it. It is not masked, or it
    could not be replayed: so pay with listed test cards only. A call in which anything else was keyed for
    a card leaves no recording. Each recording is replayed at once; exit code 1 when one does not pass.
    """
    if name is not None:
        if not name or set(name) & set("/\\\0"):
            raise ConfigurationError(f"--name {name!r} cannot name a file")
        check_free(out, name)
    settings, _ = load(flags, os.environ)
    if settings.authorizer is not None or settings.openpay is not None:
        raise ConfigurationError("record needs its own authorizer and stand-in: a replay has no others")
    data = open_data_folder(settings.data)
    over: list[int] = []
    try:
        run(
            lambda reactor: _Session(reactor, settings, data, out, name, calls).hold(over),
            told="ivr-sim: stopping; calls are ended, and kept",
        )
    except SystemExit:
        if not over:
            raise
    sys.exit(over[0])


class _Session:
    """One run of the command. hold: until so many calls are kept, or until cancelled."""

    def __init__(
        self, reactor: Any, settings: Settings, data: Path, out: Path, name: str | None, calls: int | None
    ) -> None:
        self._reactor = reactor
        self._terminal = Terminal(highlight=False, soft_wrap=True)
        self._data = data
        self._calls = calls
        self._kept = 0
        self._failed = False
        self._checks: set[Deferred[None]] = set()
        self._enough: Deferred[None] = Deferred()
        served: Served
        recorder = CallRecorder(
            out,
            name=name,
            language=settings.language,
            find=lambda key: served.merchant.keys.find(key),
            today=local_today,
            told=self._told,
        )
        self._served = served = prepare(reactor, settings, data, os.environ, tapes=recorder.tape)
        served.journal.subscribe(recorder.read)
        catalogue = Catalogue(settings.language)
        served.journal.subscribe(
            Transcript(self._terminal, lambda name, params: catalogue.text(Phrase(name, params)), named=True)
        )

    async def hold(self, over: list[int]) -> None:
        """Serve; ``over`` gets the exit code of a clean end."""
        try:
            await self._served.start()
            show_board(self._terminal, self._served, interactive=False)
            self._say("Calls are recorded, unmasked: key test cards only.", "bold yellow")
            with suppress(CancelledError):
                await self._enough
        finally:
            await self._served.stop()
        while self._checks:
            await next(iter(self._checks))
        over.append(1 if self._failed else 0)

    def _told(self, recorded: Recorded) -> None:
        said = f"call {recorded.call}: {recorded.outcome}, {recorded.duration_s:.1f} s"
        if recorded.label is None:
            self._say(f"{said}: no recording: {recorded.why}", "bold yellow")
            return
        self._kept += 1
        if self._kept == self._calls and not self._enough.called:
            self._enough.callback(None)
        checked = Deferred.fromCoroutine(self._check(said, recorded.label))
        self._checks.add(checked)
        checked.addBoth(lambda _: self._checks.discard(checked))

    async def _check(self, said: str, label: Path) -> None:
        """Replay what was kept, in a process of its own: the calls under way keep their beat."""
        command = ["-m", "ivr_sim", "replay", os.fspath(label), "--data", os.fspath(self._data)]
        out, err, code = await getProcessOutputAndValue(sys.executable, command, env=os.environ)
        self._say(f"{said}: recorded in {label}", "bold")
        if code == 0:
            self._say("replayed, it is the same story", "green")
            return
        self._failed = True
        self._say("replayed, it is not the same:", "bold red")
        self._say((out + err).decode(errors="replace").strip())

    def _say(self, text: str, style: str | None = None) -> None:
        self._terminal.print(text, style=style, markup=False)
