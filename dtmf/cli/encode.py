"""``dtmf encode``: digits to recordings."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dtmf.errors import DtmfError
from dtmf.generator import generate
from dtmf.wav import write_wav

__all__ = ["command"]


@click.command("encode")
@click.argument("digits")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The WAV to write, 16 bits, mono.",
)
@click.option("--rate", default=8000, show_default=True, help="Samples per second.")
@click.option("--tone-ms", default=100.0, show_default=True, help="Length of a tone.")
@click.option("--gap-ms", default=100.0, show_default=True, help="Silence between tones, and at both ends.")
@click.option("--level", default=-10.0, show_default=True, help="Level of each tone, dBm0.")
@click.option("--twist", default=0.0, show_default=True, help="High tone relative to the low one, dB.")
def command(
    digits: str, output: Path, rate: int, tone_ms: float, gap_ms: float, level: float, twist: float
) -> None:
    """Write the sound of DIGITS (0-9 * # A-D) to a WAV."""
    try:
        sound = generate(
            digits,
            rate=rate,
            tone_ms=tone_ms,
            gap_ms=gap_ms,
            level_dbm0=level,
            twist_db=twist,
            lead_ms=gap_ms,
            tail_ms=gap_ms,
        )
        write_wav(output, sound, rate)
    except DtmfError as error:
        click.echo(f"dtmf: {error}", err=True)
        sys.exit(2)
