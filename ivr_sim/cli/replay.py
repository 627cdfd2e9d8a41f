"""`ivr-sim replay`: recorded calls, and scenarios, through the IVR in virtual time."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ivr_sim.cli.reporting import Reporting, report_options
from ivr_sim.cli.running import data_option, open_data_folder, run
from ivr_sim.errors import ConfigurationError
from ivr_sim.harness.many import hold_all, unreadable
from ivr_sim.harness.planning import failed_in, repeated, seeded, share
from ivr_sim.harness.reading import BadScenario, find_cases
from ivr_sim.harness.replay import Manner, Replayed, Replayer
from ivr_sim.harness.scenario import Case
from ivr_sim.harness.timing import Timing
from ivr_sim.harness.update import NotUpdated, as_recorded, diff, updated
from ivr_sim.harness.workers import AT_ONCE, AT_ONCE_SIP, Crew
from ivr_sim.merchant import Outside
from ivr_sim.node import local_now
from ivr_sim.reports import CallVerdict, Run

SEED = 1
# Fewer calls than this are over before another process would have started.
FEW = 16
PASSWORD, OPENPAY_KEY = "IVR_AUTHORIZER_PASSWORD", "IVR_OPENPAY_KEY"


class _Share(click.ParamType):
    """``i/n``."""

    name = "i/n"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", value) if isinstance(value, str) else None
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            self.fail(f"{value!r} is no share; write 1/3 for the first of three", param, ctx)
        return int(found[1]), int(found[2])


class _Setting(click.ParamType):
    """``key=N``."""

    name = "key=N"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        found = re.fullmatch(r"key=([1-9][0-9]{3,11})", value)
        if found is None:
            payment_key = "a payment key of 4 to 12 digits, of which the first is not 0"
            self.fail(f"{value!r}: write key= and {payment_key}: key=654321", param, ctx)
        return found[1]


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--sip", is_flag=True, help="Place real calls, in real time, with the recording as the voice.")
@click.option(
    "--timing",
    type=click.Choice(["aligned", "recorded"]),
    help="When a recording's keys are pressed: each at the prompt that it answered, or by the tape's own "
    "times.  [default: aligned where the label names prompts]",
)
@click.option("--workers", type=click.IntRange(1, 64), help="Processes.  [default: one for each core]")
@click.option("--shard", type=_Share(), help="Hold this share of the calls only, such as 1/3.")
@click.option("--repeat", type=click.IntRange(1, 1000), default=1, help="Hold each call so many times.")
@click.option(
    "--only-failed",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Hold the calls that did not pass in this earlier --json report.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), help="Of all that is drawn.  [default: the label's own]"
)
@click.option("--allow-unlabelled", is_flag=True, help="Of a recording without a label, tell what happened.")
@click.option("--update", is_flag=True, help="Rewrite labels by what happens, and show what changes.")
@click.option("--accept-outcomes", is_flag=True, help="With --update: take over other outcomes, too.")
@click.option("--authorizer", metavar="URL", help=f"Ask this authorizer; its password from {PASSWORD}.")
@click.option("--user", help="Who asks that authorizer.")
@click.option(
    "--openpay",
    metavar="URL",
    help=f"Charge at this Openpay, https://HOST/v1/MERCHANT_ID; its private key from {OPENPAY_KEY}.",
)
@click.option(
    "--before-call",
    metavar="CMD",
    help='Run this before each call; it gets {"ivr_key", "amount", "order_id"} on standard input.',
)
@click.option("--set", "set_key", type=_Setting(), help="Have another payment key keyed, and given.")
@data_option
@report_options
@click.pass_context
def replay(
    context: click.Context,
    paths: Sequence[Path],
    sip: bool,
    timing: Timing | None,
    workers: int | None,
    shard: tuple[int, int] | None,
    repeat: int,
    only_failed: Path | None,
    seed: int | None,
    allow_unlabelled: bool,
    update: bool,
    accept_outcomes: bool,
    authorizer: str | None,
    user: str | None,
    openpay: str | None,
    before_call: str | None,
    set_key: str | None,
    data: Path,
    reporting: Reporting,
) -> None:
    """Replay recorded calls (WAV or NAME.call.yaml, or folders of them) and compare them to their labels.

    In virtual time, as fast as the machine can, unless --sip is given; scenarios with steps or a profile
    are held, too. Exit code 0 when all pass, 1 when one fails, 2 when one could not be run.
    """
    if update and (repeat > 1 or set_key or sip):
        raise click.UsageError("--update goes neither with --repeat nor with --set nor with --sip.")
    if accept_outcomes and not update:
        raise click.UsageError("--accept-outcomes belongs to --update.")

    def planned() -> tuple[list[Case], list[CallVerdict]]:
        cases, bad = _find(paths, allow_unlabelled)
        if only_failed is not None:
            names = failed_in(only_failed)
            cases = [case for case in cases if case.name in names or str(case.path) in names]
            bad = [verdict for verdict in bad if verdict.name in names]
        if shard is not None:
            cases, bad = share(cases, *shard), bad if shard[0] == 1 else []
        cases = repeated(cases, repeat)
        return (cases if seed is None else seeded(cases, seed)), bad

    cases, bad = planned()
    if not cases and not bad:
        why = "no call failed in that report" if only_failed else "there are fewer calls than shares"
        raise ConfigurationError(f"nothing to replay: {why}")
    data = open_data_folder(data)
    started = local_now()
    manner = Manner(
        data=data,
        artefacts=reporting.artefacts,
        sip=sip,
        timing=timing,
        set_key=set_key,
        before=before_call,
        at_authorizer=_authorizer(authorizer, user),
        at_openpay=_openpay(openpay),
    )
    log_level = str(context.find_root().params.get("log_level", "WARNING"))

    def holder(reactor: Any, calls: int) -> tuple[Crew | Replayer, int]:
        processes = workers or min(os.cpu_count() or 1, -(-calls // FEW))
        if workers is None and processes == 1:
            return Replayer(reactor, manner), AT_ONCE_SIP if sip else AT_ONCE
        crew = Crew(reactor, manner, workers=processes, log_level=log_level)
        return crew, crew.at_once

    async def hold(reactor: Any) -> None:
        nonlocal cases, bad
        held_by, at_once = holder(reactor, len(cases))
        try:
            if update:
                await _update(cases, held_by, at_once, accept_outcomes)
                cases, bad = planned()
            reporting.planned(len(cases) + len(bad))
            for verdict in bad:
                reporting.finished(verdict)

            async def verdict_on(case: Case) -> CallVerdict:
                return (await held_by.replay(case)).verdict

            held = await hold_all(cases, verdict_on, at_once=at_once, reporter=reporting)
            reporting.ended(Run("replay", started, SEED if seed is None else seed, [*bad, *held]))
        finally:
            await held_by.stop()

    run(hold, told="ivr-sim: interrupted; what is done is reported")
    sys.exit(reporting.exit_code)


def _find(paths: Sequence[Path], allow_unlabelled: bool) -> tuple[list[Case], list[CallVerdict]]:
    """The calls that can be replayed, and what is wrong with the other files."""
    try:
        return find_cases(paths, allow_unlabelled=allow_unlabelled), []
    except BadScenario as wrong:
        return list(wrong.cases), unreadable(wrong)


class _Silent:
    """A reporter that says nothing."""

    def planned(self, number: int) -> None: ...

    def finished(self, call: CallVerdict) -> None: ...

    def ended(self, run: Run) -> None: ...


async def _update(
    cases: Sequence[Case], held_by: Crew | Replayer, at_once: int, accept_outcomes: bool
) -> None:
    """Hold all calls once, and rewrite their labels; the changes go to standard output."""
    came: dict[str, Replayed] = {}

    async def keep(case: Case) -> CallVerdict:
        came[case.name] = await held_by.replay(case)
        return came[case.name].verdict

    labelled = [case for case in cases if case.labelled]
    await hold_all([as_recorded(case) for case in labelled], keep, at_once=at_once, reporter=_Silent())
    for case in labelled:
        if case.name not in came:
            continue
        before = case.path.read_bytes().decode("utf-8-sig")
        try:
            after = updated(before, case, came[case.name], accept_outcomes=accept_outcomes)
        except NotUpdated as why:
            click.echo(str(why), err=True)
            continue
        if after != before:
            click.echo(diff(case.path, before, after), nl=False)
            case.path.write_bytes(after.encode())


def _authorizer(url: str | None, user: str | None) -> Outside | None:
    if url is None:
        if user is not None:
            raise click.UsageError("--user belongs to --authorizer.")
        return None
    if user is None:
        raise click.UsageError("--authorizer needs --user.")
    return Outside(url, user, _secret(PASSWORD, "the authorizer's password"))


def _openpay(url: str | None) -> Outside | None:
    if url is None:
        return None
    base, _, merchant = url.rstrip("/").rpartition("/")
    if not merchant or not base.endswith("/v1"):
        raise click.UsageError("--openpay needs a URL such as https://sandbox-api.openpay.mx/v1/MERCHANT_ID.")
    return Outside(base, merchant, _secret(OPENPAY_KEY, "the merchant's private key"))


def _secret(name: str, what: str) -> str:
    """A password of the environment, or else one that is typed."""
    found = os.environ.get(name)
    if found:
        return found
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{what} is missing; set {name}")
    return str(click.prompt(f"{name} ({what})", hide_input=True))
