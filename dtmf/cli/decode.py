"""``dtmf decode``: recordings to digits."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from dtmf.decoder import decode
from dtmf.errors import DtmfError
from dtmf.keypress import Tone
from dtmf.masking import HIDDEN, masked
from dtmf.wav import read_wav

__all__ = ["command"]


@click.command("decode")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: one per file and channel.")
@click.option("--mask", is_flag=True, help=f"Show {HIDDEN} for digits that may be a card number.")
def command(files: tuple[Path, ...], as_json: bool, mask: bool) -> None:
    """Print the keys pressed in sound files, channel by channel.

    A file that cannot be read is named on stderr, with the reason; the others are decoded all the same,
    and the exit code is 2.
    """
    unread = False
    for file in files:
        name = click.format_filename(file)
        try:
            channels = list(_channels(file))
        except DtmfError as error:
            unread = True
            click.echo(f"dtmf: {name}: {error}", err=True)
            if as_json:
                click.echo(json.dumps({"file": name, "error": str(error)}))
            continue
        for channel, (duration, tones) in enumerate(channels, 1):
            digits = "".join(tone.digit for tone in tones)
            if mask:
                digits = masked(digits)
            if as_json:
                click.echo(json.dumps(_report(name, channel, duration, digits, tones)))
            else:
                label = f"{name} (channel {channel})" if len(channels) > 1 else name
                click.echo(f"{label}: {digits or 'no keys'}")
    if unread:
        sys.exit(2)


def _channels(file: Path) -> Iterator[tuple[float, list[Tone]]]:
    """Duration in seconds and tones of each channel. Raises DtmfError."""
    samples, rate = read_wav(file)
    for column in samples.T:
        yield len(column) / rate, decode(column, rate)


def _report(name: str, channel: int, duration: float, digits: str, tones: list[Tone]) -> dict[str, Any]:
    return {
        "file": name,
        "channel": channel,
        "duration_s": round(duration, 6),
        "digits": digits,
        "events": [
            {
                "digit": digit,
                "start_s": round(tone.start_s, 6),
                "end_s": round(tone.end_s, 6),
                "level_dbm0": tone.level_dbm0,
                "twist_db": tone.twist_db,
            }
            for digit, tone in zip(digits, tones, strict=True)
        ],
    }
