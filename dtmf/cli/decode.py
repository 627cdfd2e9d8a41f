"""``dtmf decode``: recordings to digits."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import click

from dtmf.cli import options
from dtmf.errors import DtmfError
from dtmf.folder import sound_files
from dtmf.hearing import decode_file
from dtmf.keypad import KEYS_12, KEYS_16, key_index
from dtmf.masking import HIDDEN, mask_text
from dtmf.standards import profile_named
from dtmf.transcript import as_json, as_labels, as_line, as_text, difference

__all__ = ["command"]

_STDIN = "-"


def _digits(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        try:
            for digit in value:
                key_index(digit)
        except DtmfError as error:
            raise click.BadParameter(str(error)) from error
        value = value.upper()
    return value


@click.command("decode")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option(
    "--json", "json_lines", is_flag=True, help="One JSON object per line: one per file and channel."
)
@click.option("--labels", is_flag=True, help="An Audacity label track, in place of the digits.")
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Write the labels of each file to DIR/NAME.txt, and print the digits.",
)
@click.option(
    "--expect", metavar="DIGITS", callback=_digits, help="End with exit code 1 if a file holds other digits."
)
@click.option("--mask", is_flag=True, help=f"Show {HIDDEN} for digits that may be a card number.")
@options.keys
@options.profile
@click.option("--channel", metavar="N", type=click.IntRange(min=1), help="Only this channel; the first is 1.")
@click.option("--refusals", is_flag=True, help="Tell also which tones were not taken for keys, and why.")
def command(
    files: tuple[str, ...],
    json_lines: bool,
    labels: bool,
    out: str | None,
    expect: str | None,
    mask: bool,
    keys: str,
    profile: str,
    channel: int | None,
    refusals: bool,
) -> None:
    """Print the keys pressed in sound files, channel by channel.

    A folder stands for the sound files in it, - for standard input. A file that cannot be read is named on
    stderr, with the reason; the others are decoded all the same, and the exit code is 2.
    """
    if json_lines and labels:
        raise click.UsageError("--json and --labels are two ways to print the same; choose one.")
    if out is not None and not labels:
        raise click.UsageError("--out is where --labels go; give both.")
    unread = differs = False

    def complain(name: str, problem: object) -> None:
        click.echo(f"dtmf: {name}: {problem}", err=True)

    found = list(_found(files))
    if labels and out is None and len(found) > 1:
        raise click.UsageError("The label tracks of several files need --out DIR.")
    written: set[str] = set()
    for file, problem in found:
        name = click.format_filename(file)
        if mask:
            name = mask_text(name)
        try:
            if problem is not None:
                raise problem
            heard = decode_file(
                sys.stdin.buffer if file == _STDIN else file,
                keys=KEYS_16 if keys == "16" else KEYS_12,
                profile=profile_named(profile),
                channel=channel,
                refusals=refusals,
            )
            if out is not None:
                _write_labels(out, file, as_labels(heard, mask=mask), written)
        except DtmfError as error:
            unread = True
            complain(name, error)
            if json_lines:
                click.echo(as_line({"file": name, "error": str(error)}))
            continue
        if json_lines:
            for one in heard:
                click.echo(as_line(as_json(name, one, refusals=refusals, mask=mask)))
        elif labels and out is None:
            click.echo(as_labels(heard, mask=mask), nl=False)
        else:
            for line in as_text(name, heard, mask=mask):
                click.echo(line)
        if expect is not None and (wrong := difference(expect, heard, mask=mask)):
            differs = True
            complain(name, wrong)
    sys.exit(2 if unread else int(differs))


def _found(files: tuple[str, ...]) -> Iterator[tuple[str, DtmfError | None]]:
    """Each file, and those in each folder; what cannot be looked into, with the reason."""
    for file in files:
        if file == _STDIN or not os.path.isdir(file):
            yield file, None
            continue
        try:
            inside = list(sound_files(file))
        except DtmfError as error:
            yield file, error
            continue
        yield from ((name, None) for name in inside)
        if not inside:
            yield file, DtmfError("is a folder without sound files")


def _write_labels(folder: str, file: str, track: str, written: set[str]) -> None:
    """Write a label track; raises DtmfError, also where the name is that of a track written before."""
    stem = "stdin" if file == _STDIN else os.path.splitext(os.path.basename(file))[0]
    path = os.path.join(folder, f"{stem}.txt")
    if path in written:
        raise DtmfError(f"its labels would be {path}, as another file's are")
    written.add(path)
    try:
        os.makedirs(folder, exist_ok=True)
        with open(path, "w", encoding="utf-8") as label_track:
            label_track.write(track)
    except OSError as error:
        raise DtmfError(f"its labels cannot be written to {path} ({error.strerror})") from error
