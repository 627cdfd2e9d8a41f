"""The child process in which the voice renders: texts come in, 8 kHz sounds go out.

The engine (SVOX Pico by ``py_nanotts``) holds the interpreter's lock while it works, and some texts make
it loop for ever or crash; so it never runs in a process that carries calls. This module imports nothing
of ours: the parent starts it by its path, and its start costs numpy and the engine only.

Protocol: one JSON object per line on standard input, ``{"text": ..., "voice": ...}``; for each, on
standard output, one byte (``S`` sound or ``E`` error), a length as 4 bytes big-endian, and as many bytes:
int16 little-endian samples, or the error in UTF-8. The end of the input ends the process.
"""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import sys
import warnings
from contextlib import suppress
from typing import IO

import numpy as np
import numpy.typing as npt

__all__ = ["EDITION", "HEADER", "RATE", "narrowband", "respelt", "speak", "trimmed", "with_level"]

Samples = npt.NDArray[np.int16]
Signal = npt.NDArray[np.float64]

EDITION = 1  # to be raised whenever the same text would sound different: rendered sounds are named by it
RATE = 8000
HEADER = struct.Struct("!cI")

# At its own volume the engine clips 1 % of all samples; a slightly lower pitch was understood best by
# a speech recogniser over G.711.
VOLUME = 0.5
PITCH = 0.9
SPEED = {"en-US": 0.85}  # by itself this voice hurries, at 200 words a minute; the Spanish one says 160
LEVEL_DBFS = -20.0  # of the active speech, rms
PEAK = 0.89  # -1 dBFS
FAINTEST = 0.02  # of full scale: the engine hums at 0.005 where a text has nothing to say
FRAME = RATE // 50
LEAD = 2 * FRAME  # silence before the sentence
TAIL = 8 * FRAME  # and after it, so that two phrases in succession are two sentences
HANG = 30  # seconds after which the process ends itself should the engine never return

# Half-band low-pass for 16 kHz: flat to 3.5 kHz, 70 dB down from 4 kHz on, which would alias.
_TAPS = 181
_CUTOFF = 3740.0 / 16000
_t = np.arange(_TAPS) - _TAPS // 2
_LOW_PASS = 2 * _CUTOFF * np.sinc(2 * _CUTOFF * _t) * np.kaiser(_TAPS, 7.0)


def respelt(text: str, voice: str) -> str:
    """Respell a text so that the Castilian voice says it as in Mexico, with /s/ for z and soft c.

    A word that ends in z carries its stress on the last syllable; with s it would move, so it is marked:
    ``feliz`` becomes ``felís``. Other voices get the text as it is.
    """
    if voice != "es-ES":
        return text
    text = re.sub(r"\b(\w*[aeiou])[zZ]\b", _final_z, text)
    text = re.sub(r"(?i)(?<=x)c(?=[eiéí])", "", text)
    text = re.sub(r"s?c(?=[eiéí])|s?z", "s", text)
    return re.sub(r"S?C(?=[eiéíEIÉÍ])|S?Z", "S", text)


def _final_z(match: re.Match[str]) -> str:
    stem = match[1]
    if re.search("[áéíóú]", stem):
        return stem + "s"
    return stem[:-1] + stem[-1].translate(str.maketrans("aeiou", "áéíóú")) + "s"


def narrowband(samples: Samples) -> Signal:
    """Bring int16 samples of 16 kHz to 8 kHz, as float64 in [-1, 1)."""
    return np.convolve(samples / 32768.0, _LOW_PASS, mode="same")[::2]


def trimmed(sound: Signal) -> Signal:
    """Cut the silence off both ends, fade in and out, and leave a set pause, in whole frames of 20 ms.

    Raises ValueError if there is no speech in the sound.
    """
    size = np.abs(sound)
    peak = size.max(initial=0.0)
    if peak < FAINTEST:
        raise ValueError("the voice said nothing for this text")
    loud = np.flatnonzero(size > 0.01 * peak)
    fade = FRAME // 2
    speech = sound[max(loud[0] - fade, 0) : loud[-1] + 1 + fade].copy()
    ramp = 0.5 - 0.5 * np.cos(np.pi * np.arange(fade) / fade)
    speech[:fade] *= ramp
    speech[-fade:] *= ramp[::-1]
    rest = -(LEAD + len(speech) + TAIL) % FRAME
    return np.concatenate([np.zeros(LEAD), speech, np.zeros(TAIL + rest)])


def with_level(sound: Signal) -> Samples:
    """Bring the active speech to -20 dBFS and make int16 of it; lower, if it would clip otherwise.

    Active are the 20 ms frames within 15.9 dB of the level of all that is not silence (ITU-T P.56's
    margin).
    """
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME)
    power = (frames**2).mean(axis=1)
    heard = power[power > power.max() * 1e-4]
    active = heard[heard > heard.mean() * 10 ** (-15.9 / 10)]
    gain = 10 ** (LEVEL_DBFS / 20) / np.sqrt(active.mean())
    gain = min(gain, PEAK / np.abs(sound).max())
    return np.rint(sound * gain * 32767).astype(np.int16)


def speak(text: str, voice: str) -> Samples:
    """Say a text: int16, shape (n,), 8 kHz, n a multiple of 160.

    voice: one of the engine's, such as es-ES. Raises ValueError if nothing is said; ImportError without
    the engine.
    """
    from py_nanotts import NanoTTS

    pcm = NanoTTS().speak(
        respelt(text, voice), voice=voice, volume=VOLUME, pitch=PITCH, speed=SPEED.get(voice)
    )
    return with_level(trimmed(narrowband(np.frombuffer(pcm, "<i2"))))


def answer(line: bytes) -> bytes:
    """The reply to one request."""
    try:
        request = json.loads(line)
        body = speak(str(request["text"]), str(request["voice"])).astype("<i2").tobytes()
    except Exception as error:
        body = f"{type(error).__name__}: {error}".encode("utf-8", "replace")
        return HEADER.pack(b"E", len(body)) + body
    return HEADER.pack(b"S", len(body)) + body


def apart(line: bytes) -> bytes:
    """The reply to one request, from an engine that has said nothing yet.

    What the engine says depends a little on what it said before: by tenths of a second in length. So, where a
    process can be forked, each text is said by a copy of this one, and sounds the same on every machine, in
    whatever order texts come. Raises SystemExit when the copy ends without a reply.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 minds numpy's idle threads
        copy = os.fork()
    if copy == 0:
        # Whoever reads our replies must not wait for a copy that hangs.
        os.closerange(3, writing)
        os.closerange(writing + 1, 256)
        # The alarm's own action ends the process even inside the engine, should the parent be gone.
        signal.alarm(HANG)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(answer(line))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        reply = pipe.read()
    if os.waitpid(copy, 0)[1] != 0:
        raise SystemExit(1)
    return reply


def serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer requests until there are no more."""
    with suppress(ImportError):  # then each answer says so
        import py_nanotts  # noqa: F401  once, not in each copy
    for line in requests:
        replies.write(apart(line) if hasattr(os, "fork") else answer(line))
        replies.flush()


def main() -> None:
    """Serve standard input and output, kept clear of whatever the engine may print."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
