"""The ``dtmf`` command: recordings to digits, digits to recordings."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from dtmf.decoder import decode
from dtmf.errors import DtmfError
from dtmf.generator import generate
from dtmf.keypress import Tone
from dtmf.wav import read_wav, write_wav

__all__ = ["main"]

_HIDDEN = "•"
_CARD_LENGTHS = range(13, 20)  # ISO/IEC 7812: the card numbers in use


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Telephone key tones (DTMF): hear them in recordings, or make some."""


@main.command("decode")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: one per file and channel.")
@click.option("--mask", is_flag=True, help=f"Show {_HIDDEN} for digits that may be a card number.")
def decode_command(files: tuple[Path, ...], as_json: bool, mask: bool) -> None:
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


@main.command("encode")
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
def encode_command(
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


def masked(digits: str) -> str:
    """Digits with every run that may be a card number hidden: 13 to 19 digits in a row that pass Luhn.

    Runs are looked for at every place, so that a number is found between others that were typed without
    a pause or a key between them.
    """
    hidden = [False] * len(digits)
    for first in range(len(digits)):
        for length in _CARD_LENGTHS:
            run = digits[first : first + length]
            if len(run) == length and run.isdecimal() and _luhn(run):
                hidden[first : first + length] = [True] * length
    return "".join(_HIDDEN if hide else digit for digit, hide in zip(digits, hidden, strict=True))


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = (sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


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
