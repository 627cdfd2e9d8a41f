"""What is kept of the calls of a run: a folder for each, under one folder of the run's.

    journal.jsonl     its events
    recording.flac    both sides, left the caller, right the IVR; keys masked
    ladder.txt        the SIP messages
    http.txt          the requests to the authorizer and to Openpay
    verdict.json      what it came to

What cannot be kept costs neither the verdict nor the run: it is logged, and the report says what is missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import structlog

from ivr_sim.errors import place
from ivr_sim.http_exchange import HttpExchange
from ivr_sim.journal import EntryAccepted, JsonLines, Record
from ivr_sim.kept import write_private
from ivr_sim.key_mask import Span, mask_keys
from ivr_sim.logs import redacted
from ivr_sim.reports.exchanges import exchanges_text
from ivr_sim.reports.ladder import SipMessage, ladder
from ivr_sim.reports.verdict import CallVerdict, Run

__all__ = ["FILES", "HTTP", "JOURNAL", "LADDER", "RECORDING", "Artefacts", "Keep", "keep_call"]

log = structlog.get_logger(__name__)

Keep = Literal["failed", "all", "none"]
Sound = npt.NDArray[np.int16]

JOURNAL, RECORDING, LADDER, HTTP = "journal.jsonl", "recording.flac", "ladder.txt", "http.txt"
VERDICT = "verdict.json"
FILES = (RECORDING, JOURNAL, LADDER, HTTP)
RATE = 8000
LONGEST = 660  # seconds of sound; a call has ten minutes
MAX_CALLS = 200
MAX_BYTES = 500_000_000
_UNFIT = re.compile(r"[^\w.\[\]-]+")


def keep_call(
    folder: Path,
    records: Sequence[Record],
    caller: Sound | None,
    ivr: Sound | None,
    exchanges: Sequence[tuple[float | None, HttpExchange]],
    sip: Sequence[SipMessage],
    masks: tuple[Iterable[Span], Iterable[Span]],
    *,
    zero: float = 0.0,
) -> None:
    """Write down what one call left, each file whole or not at all, for its owner only.

    caller, ivr: int16, shape (n,), 8 kHz, from the answer on; None where nobody heard it; they are not
    changed. exchanges: each with the second since the answer at which it began. sip: what the exchange saw,
    empty in virtual time. masks: when secret keys were down, and when keys were that may be heard
    (``LegCall.key_spans()``); every other key tone is masked too. zero: the answer on the clock of ``sip``.
    Raises OSError, or soundfile.LibsndfileError, for the first file that cannot be written, after all
    others have been.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    answer = "the answer"
    keys = [e.value for r in records if isinstance(e := r.event, EntryAccepted) and e.field == "payment_key"]
    failed: list[Exception] = []
    for name, text in (
        (LADDER, lambda: ladder(sip, zero=zero, zero_is=answer)),
        (HTTP, lambda: exchanges_text(exchanges, zero_is=answer, keys=keys)),
    ):
        try:
            # What a telephone sent may hold bytes that are no text.
            write_private(folder / name, text().encode("utf-8", "replace").decode("utf-8"))
        except OSError as error:
            failed.append(error)
    try:
        _write_journal(folder / JOURNAL, records)
    except OSError as error:
        failed.append(error)
    try:
        _write_sound(folder / RECORDING, caller, ivr, *masks)
    except (OSError, RuntimeError) as error:  # libsndfile's errors are RuntimeErrors
        failed.append(error)
    if failed:
        raise failed[0]


def _write_journal(path: Path, records: Sequence[Record]) -> None:
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            write = JsonLines(file)
            for record in records:
                write(record)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def _write_sound(
    path: Path, caller: Sound | None, ivr: Sound | None, secret: Iterable[Span], published: Iterable[Span]
) -> None:
    import soundfile  # libsndfile takes longer to load than most calls to replay

    sides = [np.zeros(0, np.int16) if side is None else side[: LONGEST * RATE] for side in (caller, ivr)]
    sound = np.zeros((max(len(side) for side in sides), 2), np.int16)
    for n, side in enumerate(sides):
        sound[: len(side), n] = side
    left = np.ascontiguousarray(sound[:, 0])
    mask_keys(left, secret, published)
    sound[:, 0] = left
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            soundfile.write(file, sound, RATE, subtype="PCM_16", format="FLAC")
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


class Artefacts:
    """Keeps what the calls of one run leave, as far as that is wanted and there is room.

    root: where their folders go; made when the first is kept. keep: which calls: those that did not pass,
    all or none. max_calls, max_bytes: no more is kept once there is so much, of whichever process of the
    run. It can be pickled, for worker processes.
    """

    def __init__(
        self, root: Path, keep: Keep = "failed", *, max_calls: int = MAX_CALLS, max_bytes: int = MAX_BYTES
    ) -> None:
        self.root = root
        self.policy = keep
        self._max_calls = max_calls
        self._max_bytes = max_bytes
        self._sizes: dict[str, int] = dict.fromkeys(_names(root), 0)  # an earlier run's take no room

    def wants(self, call: CallVerdict) -> bool:
        """Whether this call is one of those to be kept."""
        return self.policy == "all" or (self.policy == "failed" and call.verdict != "pass")

    def keep(
        self,
        call: CallVerdict,
        records: Sequence[Record],
        caller: Sound | None = None,
        ivr: Sound | None = None,
        exchanges: Sequence[tuple[float | None, HttpExchange]] = (),
        sip: Sequence[SipMessage] = (),
        masks: tuple[Iterable[Span], Iterable[Span]] = ((), ()),
        *,
        zero: float = 0.0,
    ) -> CallVerdict:
        """Keep a call that is over, see ``keep_call``; returns its verdict with its folder, if it has one.

        Nothing is raised: what cannot be written is logged.
        """
        if not self.wants(call) or not self._room():
            return call
        name = _folder_name(call.name)
        folder = self.root / name
        kept = replace(call, folder=name)
        try:
            try:
                keep_call(folder, records, caller, ivr, exchanges, sip, masks, zero=zero)
            finally:
                text = json.dumps(kept.as_json(), ensure_ascii=False, indent=1)
                write_private(folder / VERDICT, text + "\n")  # the last: now the folder has its size
        except Exception as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            log.error("a call could not be kept whole", call=call.name, error=why, at=place(error))
            return kept if folder.is_dir() else call
        return kept

    def left_out(self, run: Run) -> str | None:
        """A sentence on what was wanted and is not kept, if anything."""
        # What could not be run has nothing to keep.
        missing = sum(
            self.wants(call) and call.folder is None and call.verdict != "error" for call in run.calls
        )
        if not missing:
            return None
        what = f"{missing} call{'s' * (missing > 1)} left no artefacts"
        if self._room():
            return f"{what}: they could not be written to {self.root}; the log says why."
        return (
            f"{what}: no more than {self._max_calls} calls or {self._max_bytes // 1_000_000} MB are kept. "
            "Run fewer at a time, for example with --only-failed or --shard."
        )

    def _room(self) -> bool:
        """Whether there is room for one more; other processes may keep calls in the same folder."""
        under_way = 0
        for name in _names(self.root):
            if name not in self._sizes:
                size = _size(self.root / name)
                if size is None:
                    under_way += 1
                else:
                    self._sizes[name] = size
        sizes = [size for size in self._sizes.values() if size]
        return len(sizes) + under_way < self._max_calls and sum(sizes) < self._max_bytes


def _names(root: Path) -> list[str]:
    try:
        return os.listdir(root)
    except OSError:
        return []


def _size(folder: Path) -> int | None:
    """Bytes of a call's files; None as long as it is being written."""
    try:
        with os.scandir(folder) as files:
            sizes = {file.name: file.stat().st_size for file in files}
    except OSError:
        return 0  # no folder of a call's
    return sum(sizes.values()) if VERDICT in sizes else None


def _folder_name(name: str) -> str:
    """A call's name as a folder's: no separators, nothing secret, and different for different names."""
    fit = _UNFIT.sub("_", redacted(name))[:80].strip(".") or "call"
    if fit == name:
        return fit
    return f"{fit}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"
