"""Runs in the environment of PyPI's receivers, and knows nothing of ours: PACKAGE WAV -> a line of JSON."""

from __future__ import annotations

import array
import json
import sys
import time
import wave
from collections.abc import Callable

Samples = list[int]


def pydtmf() -> Callable[[Samples], str]:
    from PyDTMF import from_pcm

    return lambda samples: from_pcm(samples, 8000)[0]


def dtmf() -> Callable[[Samples], str]:
    from dtmf import detect

    def digits(samples: Samples) -> str:
        # It divides by the length of an empty last block.
        usable = samples[: len(samples) - (len(samples) % 205 == 0)]
        heard, before = [], None
        for block in detect([sample / 32768 for sample in usable], 8000):
            symbol = str(block.tone) if block.tone else None
            if symbol and symbol != before:
                heard.append(symbol)
            before = symbol
        return "".join(heard)

    return digits


def opentone() -> Callable[[Samples], str]:
    from opentone import ToneDecoder

    def digits(samples: Samples) -> str:
        decoder = ToneDecoder(8000, 92, 3, False)  # its own test's values for telephone calls
        for sample in samples:
            decoder.goertzel(sample)
        return str(decoder._cleanup_decoded()).translate({ord("E"): "*", ord("F"): "#"})

    return digits


def main() -> None:
    package, path = sys.argv[1:]
    with wave.open(path, "rb") as file:
        samples = array.array("h", file.readframes(file.getnframes())).tolist()
    decode = {"pydtmf": pydtmf, "dtmf": dtmf, "opentone": opentone}[package]()
    start = time.process_time()
    digits = decode(samples)
    print(json.dumps({"seconds": time.process_time() - start, "digits": digits}))


if __name__ == "__main__":
    main()
