"""``dtmf check``: how well labelled recordings are heard."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import click

from dtmf.check import Check, judge
from dtmf.check_report import as_json, as_junit, confusion_table, lines_of, summary
from dtmf.cli import options
from dtmf.errors import DtmfError
from dtmf.hearing import decode_file
from dtmf.keypad import KEYS_12, KEYS_16
from dtmf.labels import plan
from dtmf.masking import HIDDEN
from dtmf.standards import profile_named

__all__ = ["command"]

_OUTPUT = click.Path(dir_okay=False, path_type=Path)


@click.command("check")
@click.argument("paths", nargs=-1, required=True, metavar="DIR|MANIFEST...", type=click.Path(path_type=Path))
@click.option(
    "--min-accuracy",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="The share of the digits that must be heard right.",
)
@options.keys
@options.profile
@click.option("--json", "json_file", metavar="FILE", type=_OUTPUT, help="Write what was found as JSON.")
@click.option("--junit", "junit_file", metavar="FILE", type=_OUTPUT, help="Write it as JUnit's XML.")
@click.option("--mask", is_flag=True, help=f"Show {HIDDEN} for digits that may be a card number.")
def command(
    paths: tuple[Path, ...],
    min_accuracy: float,
    keys: str,
    profile: str,
    json_file: Path | None,
    junit_file: Path | None,
    mask: bool,
) -> None:
    """Decode labelled recordings, and count what was heard right, missed, imagined, or taken for another.

    The digits of a recording are read from a manifest (CSV or TSV: file,digits[,channel]); in a folder from
    NAME.txt beside it (digits, one line per channel, or Audacity's labels), else from its name
    (dtmf-12s4p.wav: 12*4#; 1234_a.wav: 1234).

    The exit code is 0 if enough was heard right, 1 if not, 2 if a recording could not be judged.
    """
    if not math.isfinite(min_accuracy):
        raise click.BadParameter("it is a number from 0 to 1", param_hint="--min-accuracy")
    listened = KEYS_16 if keys == "16" else KEYS_12
    try:
        planned = plan(paths)
    except DtmfError as error:
        click.echo(f"dtmf: {error}", err=True)
        sys.exit(2)
    check = Check(min_accuracy)
    limits = profile_named(profile)
    for judged in judge(planned, lambda one: decode_file(one.file, keys=listened, profile=limits)):
        check.add(judged)
        for line in lines_of(judged, mask=mask):
            click.echo(line)
    click.echo()
    for line in confusion_table(check):
        click.echo(line)
    click.echo()
    for line in summary(check):
        click.echo(line)
    try:
        if json_file is not None:
            json_file.write_text(json.dumps(as_json(check, mask=mask), indent=1) + "\n", encoding="utf-8")
        if junit_file is not None:
            junit_file.write_bytes(as_junit(check, mask=mask))
    except OSError as error:
        click.echo(f"dtmf: {error.filename}: cannot be written ({error.strerror})", err=True)
        sys.exit(2)
    sys.exit(check.exit_code)
