"""A receiver and a generator of telephone key tones (DTMF), for live lines and for recordings.

    >>> import dtmf
    >>> [tone.digit for tone in dtmf.decode(dtmf.generate("12#"), 8000)]
    ['1', '2', '#']

It needs numpy; scipy is loaded only to convert other rates than 8 kHz, soundfile only for files.
"""

from __future__ import annotations

from dtmf.decoder import decode
from dtmf.errors import DtmfError
from dtmf.generator import generate
from dtmf.keypad import KEYS_12, KEYS_16
from dtmf.keypress import KeyDown, KeyUp, Tone
from dtmf.receiver import Receiver
from dtmf.refusal import Refused
from dtmf.wav import read_wav, write_wav

__all__ = [
    "KEYS_12",
    "KEYS_16",
    "DtmfError",
    "KeyDown",
    "KeyUp",
    "Receiver",
    "Refused",
    "Tone",
    "decode",
    "generate",
    "read_wav",
    "write_wav",
]
