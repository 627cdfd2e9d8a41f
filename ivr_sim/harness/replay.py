"""Recorded calls through the very same dialogue: in virtual time, or as real calls over SIP.

Each recorded call is its own merchant: an authorizer and a stand-in of its own on loopback, with the
payment key that its label gives. The verdict depends on the recording, the label and the code.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import dtmf
from authorizer import InvalidCharge
from dtmf.resample import to_8k
from ivr_sim.errors import ConfigurationError
from ivr_sim.harness.caller import Caller, Script
from ivr_sim.harness.judge import Seen, judge
from ivr_sim.harness.reading import read_scenario
from ivr_sim.harness.scenario import SUFFIX, Given, Scenario
from ivr_sim.harness.story import Story
from ivr_sim.ivr import Ivr
from ivr_sim.journal import Journal, Record
from ivr_sim.ledger import Ledger
from ivr_sim.media import Samples
from ivr_sim.merchant import Merchant
from ivr_sim.node import SHOP, Node, local_now, local_today, open_library
from ivr_sim.prompts import Library, PicoVoice
from ivr_sim.reports.verdict import CallVerdict

__all__ = ["Replayer", "find_labels"]

CALLER = "1001"


def find_labels(paths: Iterable[Path]) -> list[Path]:
    """The labels that files and folders stand for, sorted within each folder.

    A WAV stands for the label beside it. Raises ConfigurationError for what does not exist, for a WAV
    without a label, and for a folder without recorded calls.
    """
    labels: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = sorted(path.rglob(f"*{SUFFIX}"), key=lambda label: str(label).removesuffix(SUFFIX))
            named = {label.with_name(label.name.removesuffix(SUFFIX)) for label in found}
            for wav in sorted(path.rglob("*.wav")):
                if wav.with_suffix("") not in named:
                    raise ConfigurationError(f"{wav}: no label beside it; write {_label_of(wav).name}")
            if not found:
                raise ConfigurationError(f"{path}: no recorded calls (*{SUFFIX} with its WAV) in this folder")
            labels += found
        elif not path.exists():
            raise ConfigurationError(f"{path}: does not exist")
        elif path.name.endswith(SUFFIX):
            labels.append(path)
        elif _label_of(path).exists():
            labels.append(_label_of(path))
        else:
            raise ConfigurationError(f"{path}: no label beside it; write {_label_of(path).name}")
    return list(dict.fromkeys(labels))


def _label_of(wav: Path) -> Path:
    return wav.with_name(wav.with_suffix("").name + SUFFIX)


class Replayer:
    """Replays labels, each in its own language.

    data: the data folder, for prompts. sip: place real calls with the recording as the caller's voice,
    instead of virtual time. ``stop`` ends the voices.
    """

    def __init__(self, reactor: Any, *, data: Path, sip: bool = False) -> None:
        self._reactor = reactor
        self._data = data
        self._sip = sip
        self._spoken: dict[str, tuple[Library, PicoVoice]] = {}

    async def stop(self) -> None:
        """End the voices that the replays needed."""
        while self._spoken:
            _, (_, voice) = self._spoken.popitem()
            await voice.stop()

    async def replay(self, path: Path) -> CallVerdict:
        """Replay one labelled call; what cannot be read or run is an ``error`` with its reason."""
        name = path.name.removesuffix(SUFFIX)
        began = self._reactor.seconds()
        try:
            [case] = read_scenario(path)
            label = case.scenario
            assert case.wav is not None
            samples = read_caller(case.wav)
            records: list[Record] = []
            paid = await self._run(name, label, samples, records)
        except ConfigurationError as error:
            return CallVerdict(name, "error", reason=str(error))
        story = Story(records)
        failure = judge(case, story, Seen(completed=paid))
        return CallVerdict(
            name,
            "fail" if failure else "pass",
            outcome=story.outcome,
            expected=label.expect.outcome,
            entries={k: [value for value, _ in v] for k, v in story.entries.items()},
            prompts=story.prompts,
            duration_s=round(story.duration_s, 3),
            wall_s=round(self._reactor.seconds() - began, 3),
            failure=failure,
        )

    async def _run(self, name: str, label: Scenario, samples: Samples, records: list[Record]) -> int:
        """Hold the call; returns how many completed charges its order then has."""
        journal = Journal(local_now)
        journal.subscribe(records.append)
        with TemporaryDirectory(prefix="ivr-sim-replay-") as folder:
            merchant = Merchant(self._reactor, Path(folder), now=local_now, seed=name)
            merchant.start()
            try:
                _issue(merchant, label.given)
                if self._sip:
                    await self._call(merchant, journal, label, samples)
                else:
                    await self._converse(merchant, journal, label, samples, name)
                return len(merchant.completed(label.given.order_id, label.given.amount))
            finally:
                await merchant.stop()

    async def _converse(
        self, merchant: Merchant, journal: Journal, label: Scenario, samples: Samples, name: str
    ) -> None:
        ledger = Ledger("sqlite://", now=local_now)
        cashier = merchant.cashier(ledger, journal)
        try:
            await cashier.start()
            shop = merchant.shop(SHOP, cashier, today=lambda: label.recorded_on or local_today())
            ivr = Ivr(shop, self._prompts(label.language), journal)
            await ivr.replayed(samples, name=name, to=label.number)
        finally:
            await cashier.stop()
            ledger.close()

    async def _call(self, merchant: Merchant, journal: Journal, label: Scenario, samples: Samples) -> None:
        today = label.recorded_on or local_today()
        node = Node(
            self._reactor, merchant, journal, data=self._data, today=lambda: today,
            accounts=(CALLER,), language=label.language,
        )  # fmt: skip
        phone = None
        try:
            await node.start()
            phone = node.phone(CALLER)
            await phone.start()
            await Caller(phone, journal).call(label.number, Script(), tape=samples)
        finally:
            if phone is not None:
                await phone.stop()
            await node.stop()

    def _prompts(self, language: str) -> Library:
        """The prompts of a language, read once."""
        if language not in self._spoken:
            self._spoken[language] = open_library(self._reactor, self._data, language)
        return self._spoken[language][0]


def _issue(merchant: Merchant, given: Given) -> None:
    try:
        merchant.keys.issue(
            given.amount, given.description, given.order_id, expires_in=timedelta(days=1), key=given.key
        )
    except InvalidCharge as wrong:
        raise ConfigurationError(f"the authorizer does not issue the label's key: {wrong}") from wrong


def read_caller(path: Path) -> Samples:
    """The caller's side of a recording as int16, shape (n,), 8 kHz: the first channel.

    Raises ConfigurationError.
    """
    try:
        samples, rate = dtmf.read_wav(path)
    except (OSError, dtmf.DtmfError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    mono = to_8k(samples[:, 0], rate)
    return np.clip(np.round(mono * 32768), -32768, 32767).astype(np.int16)
