"""``dtmf grid``: the acceptance table."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from dtmf.errors import DtmfError
from dtmf.grid import Row, chosen, measured, own_receiver
from dtmf.standards import PROFILES, profile_named

__all__ = ["command"]

_FAILED = 1


@click.command("grid")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(min=0), help="The first seed.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(min=1), help="How many seeds.")
@click.option(
    "--only", multiple=True, metavar="NAME", help="This row, or those whose name goes on with a dot."
)
@click.option(
    "--profile",
    default="default",
    show_default=True,
    type=click.Choice(list(PROFILES), case_sensitive=False),
    help="Whose limits.",
)
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write the table as JSON too; - for stdout, and then nothing else.",
)
def command(seed: int, seeds: int, only: tuple[str, ...], profile: str, json_file: Path | None) -> None:
    """Try the receiver on generated key presses at the limits of AT&T, ETSI and NTT, and beyond.

    must: what every receiver must hear. mustnot: what none may take for a key. beyond: what no standard
    asks, and this receiver hears all the same. info: not demanded. Exits 1 if a row is not as demanded.
    """
    try:
        limits = profile_named(profile)
        table = chosen(limits, only)
    except DtmfError as error:
        click.echo(f"dtmf: {error}", err=True)
        sys.exit(2)
    quiet = json_file == Path("-")
    hear = own_receiver(limits)
    width = max(len(category.name) for category in table)
    if not quiet:
        click.echo(f"{'row':{width}}  kind     presses   found  false  result  limits (source)")
    rows = []
    for category in table:
        row = measured(category, range(seed, seed + seeds), hear)
        rows.append(row)
        if not quiet:
            click.echo(_line(row, width))
    failed = [row.name for row in rows if not row.passed]
    report = {
        "v": 1,
        "verdict": "fail" if failed else "pass",
        "profile": limits.name,
        "seeds": list(range(seed, seed + seeds)),
        "rows": [_as_json(row) for row in rows],
    }
    if json_file is not None:
        text = json.dumps(report, indent=1)
        if quiet:
            click.echo(text)
        else:
            try:
                json_file.write_text(text + "\n")
            except OSError as error:
                click.echo(f"dtmf: {json_file}: {error.strerror}", err=True)
                sys.exit(2)
    if not quiet:
        click.echo(_summary(rows, failed))
    sys.exit(_FAILED if failed else 0)


def _line(row: Row, width: int) -> str:
    found = "-" if not row.presses else f"{100 * row.found / row.presses:.1f} %"
    result = "-" if row.kind == "info" else "pass" if row.passed else "FAIL"
    limits = f"{row.category.limits} ({row.category.source})"
    return (
        f"{row.name:{width}}  {row.kind:7}  {row.presses or '-':>7}  {found:>7}  {row.false or '-':>5}"
        f"  {result:6}  {limits}"
    )


def _summary(rows: list[Row], failed: list[str]) -> str:
    presses = sum(row.presses for row in rows)
    minutes = sum(row.seconds for row in rows) / 60
    verdict = f"{len(failed)} not as demanded: {', '.join(failed)}" if failed else "all as demanded"
    return f"{len(rows)} rows, {presses:,} presses in {minutes:.0f} minutes of sound: {verdict}"


def _as_json(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "kind": row.kind,
        "limits": row.category.limits,
        "source": row.category.source,
        "presses": row.presses,
        "found": row.found,
        "false": row.false,
        "edges_ms": None if row.edges_ms is None else round(row.edges_ms, 2),
        "verdict": "info" if row.kind == "info" else "pass" if row.passed else "fail",
    }
