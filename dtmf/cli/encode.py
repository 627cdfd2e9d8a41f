"""``dtmf encode``: digits to recordings, as clean or as bad as one likes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast

import click
import numpy as np
import numpy.typing as npt

from dtmf.errors import DtmfError
from dtmf.g711 import LAWS
from dtmf.generator import generate
from dtmf.impairment import impair
from dtmf.resample import to_8k
from dtmf.wave_format import CODINGS, Coding, wav_bytes

__all__ = ["command"]

_TELEPHONE_HZ = 8000
_TOO_LONG = "more sound than this machine's memory holds"


Parse = Callable[[str], Any]


def _by(parse: Parse) -> dict[str, Any]:
    """Options of click for a value that ``parse`` makes of the text."""

    def callback(_: click.Context, param: click.Parameter, value: Any) -> Any:
        if param.multiple:
            return [parse(one) for one in value]
        return None if value is None else parse(value)

    return {"type": str, "callback": callback}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no number") from None


def _share(text: str) -> float:
    """0.015 and 1.5% are the same."""
    return _number(text[:-1]) / 100 if text.endswith("%") else _number(text)


def _each(text: str) -> float | list[float]:
    """One number, or one per digit."""
    numbers = [_number(part) for part in text.split(",")]
    return numbers[0] if len(numbers) == 1 else numbers


def _pairs(number: Callable[[str], float]) -> Parse:
    """Of low and high tones: one number or LOW/HIGH, or one such per digit."""

    def parse(text: str) -> tuple[float, float] | list[tuple[float, float]]:
        pairs = []
        for part in text.split(","):
            both = [number(one) for one in part.split("/")]
            if len(both) > 2:
                raise click.BadParameter(f"{part!r} is neither one number nor LOW/HIGH")
            pairs.append((both[0], both[-1]))
        return pairs[0] if len(pairs) == 1 else pairs

    return parse


def _fields(shape: str) -> Parse:
    """Numbers with commas between; ``shape`` names them, those in brackets may be missing."""
    most, least = shape.count(",") + 1, shape.split("[")[0].count(",") + 1

    def parse(text: str) -> tuple[float, ...]:
        parts = text.split(",")
        if not least <= len(parts) <= most:
            raise click.BadParameter(f"{text!r} is not {shape}")
        return tuple(map(_number, parts))

    return parse


def _dial_tone(text: str) -> tuple[tuple[float, ...], float]:
    tones, comma, level = text.rpartition(",")
    if not comma:
        raise click.BadParameter(f"{text!r} is not HZ+HZ,DBM0, such as 350+440,-13")
    return tuple(map(_number, tones.split("+"))), _number(level)


def _under(text: str) -> tuple[str, float]:
    file, _, level = text.rpartition(",")
    if not file:
        raise click.BadParameter(f"{text!r} is not FILE,DBM0, such as speech.wav,-20")
    return file, _number(level)


def _lost(text: str) -> float | list[bool]:
    """A share, or a pattern: x is a packet that is lost, a full stop one that arrives."""
    if text and not text.strip(".x"):
        return [sign == "x" for sign in text]
    return _share(text)


@click.command("encode")
@click.argument("digits")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="The WAV to write, mono; - is standard output.",
)
@click.option("--rate", default=_TELEPHONE_HZ, show_default=True, metavar="HZ", help="Samples per second.")
@click.option(
    "--coding", type=click.Choice(CODINGS), default="pcm16", show_default=True, help="Of the file's samples."
)
@click.option(
    "--tone-ms",
    **_by(_each),
    default="100",
    show_default=True,
    metavar="MS[,MS...]",
    help="Length of a tone.",
)
@click.option(
    "--gap-ms",
    **_by(_each),
    default="100",
    show_default=True,
    metavar="MS[,MS...]",
    help="Silence after a tone.",
)
@click.option("--lead-ms", type=float, metavar="MS", help="Silence before the first tone; else as a gap.")
@click.option("--tail-ms", type=float, metavar="MS", help="Silence after the last tone; else as a gap.")
@click.option(
    "--level",
    **_by(_each),
    default="-10",
    show_default=True,
    metavar="DBM0[,DBM0...]",
    help="Level of each of the two tones.",
)
@click.option(
    "--twist",
    **_by(_each),
    default="0",
    show_default=True,
    metavar="DB[,DB...]",
    help="High tone relative to the low one.",
)
@click.option(
    "--offset",
    **_by(_pairs(_share)),
    default="0",
    metavar="SHARE[/SHARE][,...]",
    help="By what share the tones are off their frequencies: 1.5% for both, 1.5%/-1% for low/high.",
)
@click.option(
    "--offset-hz",
    **_by(_pairs(_number)),
    default="0",
    metavar="HZ[/HZ][,...]",
    help="Hertz that are added to the tones' frequencies.",
)
@click.option(
    "--phase",
    **_by(_pairs(_number)),
    default="0",
    metavar="RAD[/RAD][,...]",
    help="Of the tones where they begin, in radians.",
)
@click.option("--ramp-ms", **_by(_each), default="0", metavar="MS[,MS...]", help="Rise and fall of a tone.")
@click.option(
    "--hole", **_by(_fields("AFTER_MS,MS")), metavar="AFTER_MS,MS", help="An interruption in each tone."
)
@click.option(
    "--under", **_by(_under), metavar="FILE,DBM0", help="Speech or music beneath, from a sound file."
)
@click.option(
    "--echo", **_by(_fields("MS,DB")), multiple=True, metavar="MS,DB", help="Delay and level; repeatable."
)
@click.option(
    "--dial-tone", **_by(_dial_tone), metavar="HZ[+HZ],DBM0", help="Such as 350+440,-13 or 425,-10."
)
@click.option(
    "--hum",
    **_by(_fields("HZ,DBM0[,N]")),
    multiple=True,
    metavar="HZ,DBM0[,N]",
    help="Of the mains, with N harmonics; repeatable.",
)
@click.option("--snr", type=float, metavar="DB", help="White noise so far below both tones together.")
@click.option("--noise", type=float, metavar="DBM0", help="White noise by its own level, 0 to 4 kHz.")
@click.option(
    "--impulses",
    **_by(_fields("PER_SECOND,DBM0")),
    metavar="PER_SECOND,DBM0",
    help="Clicks, and their peak level.",
)
@click.option("--dc", type=float, default=0.0, metavar="SHARE", help="A constant, as a share of full scale.")
@click.option("--clip", type=float, metavar="DBM0", help="Level of the loudest sine that is not clipped.")
@click.option("--law", type=click.Choice(LAWS), help="Through G.711 and back, whatever the file's coding.")
@click.option(
    "--lost",
    **_by(_lost),
    metavar="SHARE|PATTERN",
    help="Packets of 20 ms that silence replaces: 5% by chance, or a pattern such as ...x to repeat.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of all that is random.")
def command(
    digits: str,
    output: str,
    rate: int,
    coding: str,
    level: Any,
    twist: Any,
    lead_ms: float | None,
    tail_ms: float | None,
    under: tuple[str, float] | None,
    snr: float | None,
    noise: float | None,
    **options: Any,
) -> None:
    """Write the sound of DIGITS (0-9 * # A-D) to a WAV.

    What may differ from digit to digit is one number, or one for each with commas between. The same
    arguments write the same file.
    """
    names = ("tone_ms", "gap_ms", "offset", "offset_hz", "phase", "ramp_ms", "hole")
    press = {name: options.pop(name) for name in names}
    gaps = np.atleast_1d(press["gap_ms"])
    options |= {name: options[name] or None for name in ("echo", "hum")}
    try:
        sound = generate(
            digits,
            rate=rate,
            level_dbm0=level,
            twist_db=twist,
            lead_ms=float(gaps[0]) if lead_ms is None else lead_ms,
            tail_ms=float(gaps[-1]) if tail_ms is None else tail_ms,
            **press,
        )
        beneath = under and (_recording(under[0], rate), under[1])
        sound = impair(sound, rate=rate, under=beneath, snr_db=snr, noise_dbm0=noise, **options)
        content = wav_bytes(sound, rate, cast(Coding, coding))
    except (DtmfError, MemoryError) as error:
        click.echo(f"dtmf: {_TOO_LONG if isinstance(error, MemoryError) else error}", err=True)
        sys.exit(2)
    try:
        with click.open_file(output, "wb") as file:
            file.write(content)
    except OSError as error:
        name = click.format_filename(output)
        click.echo(f"dtmf: {name}: cannot be written ({error.strerror or error})", err=True)
        sys.exit(2)


def _recording(file: str, rate: int) -> npt.NDArray[np.float32]:
    """The mean of a sound file's channels, at ``rate``. Raises DtmfError."""
    from dtmf.wav import read_wav

    try:
        samples, own = read_wav(file)
    except DtmfError as error:
        raise DtmfError(f"{click.format_filename(file)}: {error}") from error
    sound = samples.mean(axis=1, dtype=np.float32)
    if own != rate and rate != _TELEPHONE_HZ:
        raise DtmfError(
            f"{click.format_filename(file)}: is at {own} Hz; give one at {rate} Hz to lay it under"
        )
    return to_8k(sound, own) if own != rate else sound
