"""A receiver and a generator of telephone key tones (DTMF), for live lines and for recordings.

    >>> import dtmf
    >>> [tone.digit for tone in dtmf.decode(dtmf.generate("12#"), 8000)]
    ['1', '2', '#']

It needs numpy, and soundfile only for formats other than the usual WAV. Each name is loaded when it is first
used: a program may still say with how many threads numpy multiplies (OPENBLAS_NUM_THREADS) after it has
imported this package, as the ``dtmf`` command does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dtmf.decoder import decode
    from dtmf.errors import DtmfError
    from dtmf.generator import generate
    from dtmf.hearing import Heard, decode_file
    from dtmf.impairment import impair
    from dtmf.keypad import KEYS_12, KEYS_16
    from dtmf.keypress import KeyDown, KeyUp, Tone
    from dtmf.receiver import Receiver
    from dtmf.refusal import Refused
    from dtmf.wav import read_wav, write_wav

__all__ = [
    "KEYS_12",
    "KEYS_16",
    "DtmfError",
    "Heard",
    "KeyDown",
    "KeyUp",
    "Receiver",
    "Refused",
    "Tone",
    "decode",
    "decode_file",
    "generate",
    "impair",
    "read_wav",
    "write_wav",
]

_HOMES = {
    "decoder": ("decode",),
    "errors": ("DtmfError",),
    "generator": ("generate",),
    "hearing": ("Heard", "decode_file"),
    "impairment": ("impair",),
    "keypad": ("KEYS_12", "KEYS_16"),
    "keypress": ("KeyDown", "KeyUp", "Tone"),
    "receiver": ("Receiver",),
    "refusal": ("Refused",),
    "wav": ("read_wav", "write_wav"),
}

if not TYPE_CHECKING:  # to mypy only the names above exist

    def __getattr__(name: str) -> Any:
        for module, names in _HOMES.items():
            if name in names:
                value = globals()[name] = getattr(importlib.import_module(f"dtmf.{module}"), name)
                return value
        raise AttributeError(f"module 'dtmf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
