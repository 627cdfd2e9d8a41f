"""``dtmf plot``: the picture of a recording."""

from __future__ import annotations

import io
import math
import sys
from pathlib import Path

import click

from dtmf.cli import options
from dtmf.errors import DtmfError
from dtmf.keypad import KEYS_12, KEYS_16
from dtmf.standards import profile_named

__all__ = ["command"]


def _seconds(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """A time as seconds, or as minutes and seconds, or with hours too, set apart by colons."""
    if value is None:
        return None
    parts = value.split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = [math.nan]
    if len(parts) > 3 or not all(math.isfinite(number) and number >= 0 for number in numbers):
        raise click.BadParameter(f"{value!r} is no time; give seconds, or minutes:seconds")
    return math.fsum(number * 60.0**power for power, number in enumerate(reversed(numbers)))


@click.command("plot")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="PNG",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The picture to write.",
)
@click.option("--from", "start", metavar="TIME", default="0", callback=_seconds, help="Seconds, or min:s.")
@click.option("--to", "end", metavar="TIME", callback=_seconds, help="The same; left out: the end.")
@options.keys
@options.profile
@click.option("--mask", is_flag=True, help="Nothing is seen of keys that may be a card number.")
def command(
    file: Path, output: Path, start: float, end: float | None, keys: str, profile: str, mask: bool
) -> None:
    """Draw FILE as a spectrogram and a waveform, with its keys, their levels, and tones that were refused.

    A long file goes on in up to six rows; what has no room there shows with --from and --to.
    """
    if output.suffix.lower() != ".png":
        raise click.UsageError(f"{click.format_filename(output)}: the picture is a PNG; give it such a name.")
    shown = click.format_filename(file)
    try:
        from dtmf.plot import plot

        image = plot(
            file,
            start_s=start,
            end_s=end,
            keys=KEYS_16 if keys == "16" else KEYS_12,
            profile=profile_named(profile),
            mask=mask,
        )
    except DtmfError as error:
        click.echo(f"dtmf: {shown}: {error}", err=True)
        sys.exit(2)
    drawn = io.BytesIO()
    image.save(drawn, "PNG")
    try:
        output.write_bytes(drawn.getvalue())
    except OSError as error:
        click.echo(f"dtmf: {click.format_filename(output)}: cannot be written ({error.strerror})", err=True)
        sys.exit(2)
