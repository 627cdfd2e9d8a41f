"""What a caller hears, told from the sound alone: python benchmarks/hearing.py [--language es-MX|en-US]

    amounts      200 between 0.01 and 999,999.99, each among all of them, in mu-law at 20 dB with 2 % of the
                 packets lost: which one was said?
    prompts      a call of eight prompts, three of them cut, among all that ship: found, missed, false
    verify       what it costs to compare 45 s with what was announced, ours to the sample and over a line
    recogniser   what listening costs, and how soon after its start a prompt is told

Exit: 1 when an amount was taken for another, or a prompt was found that is none; else 0.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

# Threads of the matrix library fight for the cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import click
import numpy as np

from ivr_sim.call import Phrase, phrase
from ivr_sim.media.g711 import PCMU, Samples
from ivr_sim.prompts import LANGUAGES, Catalogue
from ivr_sim.prompts.hearing import Announced, hear, heard_amount, verify
from ivr_sim.prompts.recogniser import PromptBegun, Recogniser
from ivr_sim.prompts.shipped import ShippedPrompts
from ivr_sim.prompts.speaker import speak
from ivr_sim.prompts.voice import PICO_VOICES

# fmt: off
NEAR = (
    "0.01", "0.02", "0.10", "0.11", "0.60", "0.70", "0.99", "1.00", "1.01", "1.10", "2.00", "2.02", "3.00",
    "6.00", "6.06", "6.07", "7.00", "7.07", "10.00", "10.10", "11.00", "12.00", "13.00", "16.00", "17.00",
    "60.00", "60.60", "60.70", "61.00", "66.00", "67.00", "70.00", "70.70", "71.00", "76.00", "77.00",
    "99.99", "100.00", "100.01", "100.10", "101.00", "102.00", "110.00", "112.00", "200.00", "200.10",
    "200.50", "201.00", "202.00", "210.00", "210.50", "212.00", "220.00", "250.00", "300.00", "500.00",
    "600.00", "600.60", "606.00", "607.00", "616.00", "617.00", "660.00", "666.00", "667.00", "670.00",
    "676.00", "677.00", "700.00", "700.70", "707.00", "760.00", "767.00", "770.00", "776.00", "777.00",
    "900.00", "999.99", "1000.00", "1000.01", "1001.00", "1010.00", "1100.00", "1101.00", "1200.50",
    "1250.50", "2000.00", "2001.00", "6000.00", "6006.00", "6600.00", "7000.00", "7007.00", "7700.00",
    "10000.00", "11000.00", "16000.00", "17000.00", "21000.00", "21001.00", "60000.00", "66000.00",
    "67000.00", "70000.00", "76000.00", "77000.00", "100000.00", "101000.00", "600000.00", "600600.60",
    "700000.00", "700700.70", "999999.99",
)
# fmt: on
COUNT = 200
UNDECIDED = 0.05  # a prompt that was cut before it differs from another; nobody could tell
CALL = ("welcome", "ask_key", "ask_accept", "ask_card", "ask_expiry", "one_moment", "approved", "goodbye")
CUTS = {"ask_key": 1.5, "ask_card": 0.8, "ask_expiry": 2.0}


def over_a_line(sound: Samples, snr: float, lost: float, dice: np.random.Generator) -> Samples:
    """White noise so many dB below the speech, mu-law, silence for lost packets."""
    power = np.mean(np.square(sound[np.abs(sound) > 30], dtype=float))
    noisy = sound + dice.normal(scale=np.sqrt(power * 10 ** (-snr / 10)), size=len(sound))
    heard = PCMU.decode(PCMU.encode(np.clip(np.rint(noisy), -32768, 32767).astype(np.int16)))
    frames = heard[: len(heard) // 160 * 160].reshape(-1, 160)
    frames[dice.random(len(frames)) < lost] = 0
    return heard


def amounts(language: str) -> int:
    """How many of 200 amounts are taken for another."""
    dice = np.random.default_rng(1)
    drawn = {f"{10 ** dice.uniform(-2, 6):.2f}" for _ in range(3 * COUNT)} - {"0.00", "1000000.00", *NEAR}
    every = (*NEAR, *sorted(drawn, key=float)[:: 3 * COUNT // (COUNT - len(NEAR)) - 1])[:COUNT]
    catalogue = Catalogue(language)
    begun = time.process_time()
    sounds = {
        amount: PCMU.decode(
            PCMU.encode(speak(catalogue.text(phrase("amount", amount=amount)), PICO_VOICES[language]))
        )
        for amount in every
    }
    rendered = time.process_time() - begun
    print(f"amounts: {len(sounds)} rendered, {rendered / len(sounds) * 1e3:.0f} ms each")
    wrong, margins = 0, []
    pause = np.zeros(4800, np.int16)
    begun = time.process_time()
    for number, (amount, sound) in enumerate(sounds.items()):
        heard = over_a_line(np.concatenate([pause, sound, pause]), 20, 0.02, dice)
        said, margin = heard_amount(heard, sounds)
        margins.append((margin, amount))
        if said != amount:
            wrong += 1
            print(f"  {amount} heard as {said}")
        if sys.stderr.isatty() and number % 10 == 0:
            print(f"  {number} of {len(sounds)}", end="\r", file=sys.stderr)
    each = (time.process_time() - begun) / len(sounds)
    print(
        f"  20 dB, 2 % lost: {len(sounds) - wrong} of {len(sounds)} right among {len(sounds)}, "
        f"smallest margin {min(margins)[0]:.2f} ({min(margins)[1]}), {each * 1e3:.0f} ms each"
    )
    return wrong


def a_call(sounds: dict[Phrase, Samples]) -> tuple[Samples, list[Announced]]:
    """Eight prompts, three of them cut."""
    parts, announced, length = [], [], 0
    for name in CALL:
        sound = sounds[phrase(name)]
        cut = CUTS.get(name)
        said = sound if cut is None else sound[: round(cut * 8000)]
        start = length / 8000
        announced.append(Announced(phrase(name), start, None if cut is None else start + cut))
        parts += [said, np.zeros(6400, np.int16)]
        length += len(said) + 6400
    return np.concatenate(parts), announced


def prompts(sounds: dict[Phrase, Samples]) -> int:
    """How many prompts are found that are none."""
    sound, announced = a_call(sounds)
    dice = np.random.default_rng(2)
    false = 0
    for snr in (40, 20, 10, 5, 0):
        found, undecided, extra, errors = 0, 0, 0, []
        for _ in range(3):
            wanted = {said.phrase: said for said in announced}
            for prompt in hear(over_a_line(sound, snr, 0.02, dice), sounds):
                if prompt.margin < UNDECIDED:
                    undecided += 1
                    continue
                said = wanted.pop(prompt.phrase, None)
                if said is None or abs(prompt.start_s - said.start_s) > 0.1:
                    extra += 1
                    continue
                found += 1
                errors.append(abs(prompt.start_s - said.start_s) * 1e3)
        false += extra
        print(
            f"prompts: {snr:2d} dB, 2 % lost: {found} of {3 * len(CALL)} found, {undecided} undecided, "
            f"{extra} false, start off by at most {max(errors, default=0):.2f} ms"
        )
    return false


def cost(work: Callable[[], object], times: int) -> float:
    """Milliseconds of processor time, the best of several."""
    best = np.inf
    for _ in range(times):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return float(best) * 1e3


def costs(sounds: dict[Phrase, Samples]) -> None:
    """What verifying and listening cost."""
    sound, announced = a_call(sounds)
    silence = np.zeros(max(0, 45 * 8000 - len(sound)), np.int16)
    whole = np.concatenate([sound, silence])
    line = over_a_line(whole, 30, 0.01, np.random.default_rng(3))
    ours = cost(lambda: verify(whole, announced, sounds.__getitem__), 20)
    theirs = cost(lambda: verify(line, announced, sounds.__getitem__), 5)
    search = cost(lambda: hear(line, sounds), 2)
    print(f"verify: {len(whole) / 8000:.0f} s ours {ours:.2f} ms, over a line {theirs:.0f} ms; ", end="")
    print(f"search among {len(sounds)} prompts {search:.0f} ms")
    recogniser = Recogniser(sounds)
    soon, slowest = [], 0.0
    begun = time.process_time()
    for number, frame in enumerate(line[: len(line) // 160 * 160].reshape(-1, 160), 1):
        before = time.process_time()
        for event in recogniser.feed(frame):
            if isinstance(event, PromptBegun):
                soon.append(number / 50 - event.start_s)
        slowest = max(slowest, time.process_time() - before)
    spent = (time.process_time() - begun) / (len(line) / 8000)
    print(
        f"recogniser: {spent:.1%} of a processor per call, slowest frame {slowest * 1e3:.0f} ms; "
        f"prompts told {min(soon):.2f} to {max(soon):.2f} s after their start"
    )


@click.command(help=__doc__)
@click.option("--language", type=click.Choice(sorted(LANGUAGES)), default="es-MX")
@click.option("--amounts/--no-amounts", "with_amounts", default=True, help="They take a minute or two.")
def main(language: str, with_amounts: bool) -> None:
    """Measure, print, and exit."""
    shipped = ShippedPrompts(language)
    sounds = {}
    for stem, each in Catalogue(language).closed().items():
        sound = shipped.get(shipped.stems[stem]) if stem in shipped.stems else None
        if sound is not None:
            sounds[each] = sound
    false = prompts(sounds)
    costs(sounds)
    wrong = amounts(language) if with_amounts else 0
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    sys.exit(1 if wrong or false else 0)


if __name__ == "__main__":
    main()
