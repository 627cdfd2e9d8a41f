"""Whether prompts can be spoken: those that ship, recordings of one's own, and the voice for the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ivr_sim.doctor.check import Check
from ivr_sim.errors import IvrSimError
from ivr_sim.node import open_library
from ivr_sim.prompts import LANGUAGES, PicoVoice, Voice, VoiceMissing
from ivr_sim.prompts.shipped import ShippedPrompts

__all__ = ["prompts", "voice"]

WORDS = "Doscientos pesos."  # each language's voice says them somehow
SLOW = 3.0  # seconds; a caller waits for an amount as long as it takes to render


def prompts(reactor: Any, data: Path, language: str) -> Check:
    """The prompts that ship in each language, and the recordings of the data folder."""
    try:
        open_library(reactor, data, language)
        counts = []
        for name in sorted(LANGUAGES):
            shipped = ShippedPrompts(name)
            counts.append(f"{len(shipped.stems)} in {name}")
            if not any(shipped.get(key) is not None for key in list(shipped.stems.values())[:1]):
                return Check(
                    "prompts",
                    "warn",
                    f"none ship in {name}: each is rendered when it is first said",
                    "pip install --force-reinstall the package, if that is not meant.",
                )
    except IvrSimError as error:
        return Check("prompts", "fail", str(error), "Mend or remove the recording, or set another language.")
    except (OSError, RuntimeError, ValueError) as error:
        return Check("prompts", "fail", f"those that ship cannot be read: {error}", "Install ivr-sim anew.")
    return Check("prompts", "ok", f"{', '.join(counts)} ship; the line speaks {language}")


async def voice(reactor: Any, language: str, speaker: Voice | None = None) -> Check:
    """Whether the voice renders, and how fast. speaker: a PicoVoice by default."""
    if speaker is None and language not in LANGUAGES:
        known = " or ".join(sorted(LANGUAGES))
        return Check("voice", "fail", f"nobody speaks {language}", f"Set language to {known}.")
    own: PicoVoice | None = None
    try:
        if speaker is None:
            speaker = own = PicoVoice(reactor, language)
        began = reactor.seconds()
        sound = await speaker.render(WORDS)
        took = reactor.seconds() - began
    except VoiceMissing as error:
        return Check(
            "voice",
            "fail",
            f"{error}: amounts and descriptions cannot be said",
            "pip install py-nanotts; there is none for macOS, where a container with Linux does it.",
        )
    except IvrSimError as error:
        return Check("voice", "fail", str(error), "pip install --force-reinstall py-nanotts")
    finally:
        if own is not None:
            await own.stop()
    said = len(sound) / 8000
    what = f"{speaker.name} rendered {said:.1f} s of speech in {took:.2f} s, its start included"
    if took > SLOW:
        return Check(
            "voice",
            "warn",
            what,
            "Callers wait for amounts that long: is the machine busy, or its disk slow?",
        )
    return Check("voice", "ok", what)
