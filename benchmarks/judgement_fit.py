"""Fit the weights in dtmf/judgement.py anew: python benchmarks/judgement_fit.py

What is measured of every unclean look is collected from

    no keys   the tuning half of the talk-off material, as recorded and at four other speeds; the rows of
              `dtmf grid` that must not be heard (but those off their frequencies alone: the frequencies
              have a limit of their own)
    keys      all its other rows

and told apart by logistic regression. Printed are the weights in the order of WEIGHTS and the bias; then, by
these and by those that the code has, the highest scores of what is no key, and the lowest of keys by the kind
of their row. A look scores the sum of its weighted measurements and the bias: the room to spare in the
judgement lies above the highest of the former. Nothing of the judging half is read. It takes some minutes;
what is not on disk yet is fetched first.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from material import NAMES, RATE, MaterialError, Store, prepare
from talkoff import default_cache

import dtmf
from dtmf import judgement
from dtmf.acceptance import Category
from dtmf.grid import chosen, tapes
from dtmf.judgement import WEIGHTS
from dtmf.resample import Resampler

SEEDS = (21, 22, 23, 24)
#: Hz that sound is said to have: it becomes longer by 1, 20/19, 19/20, 40/39 and 10/11, as a slower or faster
#: speaker's, and its frequencies meet others of the key tones.
RATES = (RATE, 7600, 8420, 7800, 8800)
FALSE_WEIGHT = 3.0  # a false key is worse than one that has to sound a little longer
INFO_WEIGHT = 0.2  # of rows of which nothing is demanded
RIDGE = 1e-5
ROUNDS = 30
_AT_ONCE = 1 << 20  # samples
_OFF_ALONE = "freq_reject"

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Looks:
    """What one source gave: (n, len(WEIGHTS)) measurements of each look that was judged by the weights."""

    name: str
    kind: str  # of a row; "sound" where nobody presses a key
    evidence: Doubles

    @property
    def are_keys(self) -> bool:
        """Whether keys are what was looked at."""
        return self.kind not in ("sound", "mustnot")

    @property
    def weight(self) -> float:
        """Of each look in the fit."""
        if not self.are_keys:
            return FALSE_WEIGHT
        return INFO_WEIGHT if self.kind == "info" else 1.0


@dataclass(frozen=True)
class Fit:
    """weights: (len(WEIGHTS),); a look's score is above 0 if it is rather a key."""

    weights: Doubles
    bias: float

    def scores(self, looks: Looks) -> Doubles:
        """(n,)"""
        scores: Doubles = looks.evidence @ self.weights + self.bias
        return scores


@contextmanager
def collected(*, refusing: bool) -> Iterator[list[npt.NDArray[np.float32]]]:
    """All evidence that is judged meanwhile; refusing: nothing is taken for a key, and so every look seen."""
    taken: list[npt.NDArray[np.float32]] = []
    usual = judgement._is_key

    def is_key(*look: Any) -> npt.NDArray[np.bool_]:
        evidence = judgement.evidence(*look)
        taken.append(evidence)
        return np.zeros(len(evidence), bool) if refusing else usual(*look)

    judgement._is_key = is_key
    try:
        yield taken
    finally:
        judgement._is_key = usual


def heard(name: str, kind: str, sounds: Iterable[npt.NDArray[Any]], rate: int = RATE) -> Looks:
    """Sounds (n,) that are said to have ``rate`` Hz, each on a line of its own."""
    none = np.zeros((0, len(WEIGHTS)))
    with collected(refusing=kind in ("sound", "mustnot")) as taken:
        for sound in sounds:
            resampler, receiver = Resampler(rate), dtmf.Receiver()
            for first in range(0, len(sound), _AT_ONCE):
                receiver.feed(resampler.feed(sound[first : first + _AT_ONCE]))
            receiver.feed(resampler.flush())
            receiver.flush(0)
    return Looks(name, kind, np.concatenate([none, *taken]))


def of_material(store: Store, names: Sequence[str]) -> Iterator[Looks]:
    """The tuning half of some sets, at all speeds."""
    for name in names:
        sound = store.read("tune", name).sound
        for rate in RATES:
            yield heard(f"{name} x {rate / RATE:.3f}", "sound", [sound], rate)


def of_rows(rows: Iterable[Category], seeds: Iterable[int]) -> Iterator[Looks]:
    """The rows' tapes, where they are of 8 kHz."""
    for row in rows:
        if row.name.split(".")[0] != _OFF_ALONE:
            made = (tape for seed in seeds for tape in tapes(row, seed))
            yield heard(row.name, row.kind, (tape.sound for tape in made if tape.rate == RATE))


def fitted(sources: Sequence[Looks]) -> Fit:
    """Logistic regression by Newton's method, on columns of mean 0 and deviation 1."""
    evidence = np.concatenate([looks.evidence for looks in sources])
    is_key = np.concatenate([np.full(len(looks.evidence), float(looks.are_keys)) for looks in sources])
    weight = np.concatenate([np.full(len(looks.evidence), looks.weight) for looks in sources])
    weight /= weight.sum()
    mean, deviation = evidence.mean(axis=0), evidence.std(axis=0)
    deviation[deviation == 0] = 1
    columns = np.column_stack([(evidence - mean) / deviation, np.ones(len(evidence))])
    w = np.zeros(columns.shape[1])
    for _ in range(ROUNDS):
        likely = (1 + np.tanh(columns @ w / 2)) / 2
        slope = columns.T @ (weight * (likely - is_key)) + RIDGE * w
        bend = (columns * (weight * likely * (1 - likely))[:, None]).T @ columns
        w -= np.linalg.solve(bend + RIDGE * np.eye(len(w)), slope)
    weights = w[:-1] / deviation
    return Fit(weights, float(w[-1] - weights @ mean))


def ranked(fit: Fit, sources: Iterable[Looks], count: int, *, highest: bool) -> list[tuple[float, str]]:
    """The highest or lowest scores, and where they are from."""
    scored = [(float(score), looks.name) for looks in sources for score in fit.scores(looks)]
    return sorted(scored, reverse=highest)[:count]


def tell(fit: Fit, sources: Sequence[Looks], count: int) -> None:
    """Print it."""
    for (name, now), weight in zip(WEIGHTS.items(), fit.weights, strict=True):
        print(f'    "{name}": {weight:.3g},  # now {now:g}')
    print(
        f"bias {fit.bias:.1f}; now more than {judgement._ENOUGH:.1f} is needed: {-fit.bias:.1f} and the room"
    )
    now = Fit(np.array(list(WEIGHTS.values())), -float(judgement._ENOUGH))
    for whose, each in (("fitted", fit), ("as the code has them, its room taken off", now)):
        print(f"weights {whose}:")
        for kinds, highest in ((("sound", "mustnot"), True), (("must",), False), (("beyond",), False)):
            those = [looks for looks in sources if looks.kind in kinds]
            count_all = sum(len(looks.evidence) for looks in those)
            print(f"  {', '.join(kinds)}: {count_all} looks, the {'highest' if highest else 'lowest'}")
            for score, name in ranked(each, those, count, highest=highest):
                print(f"  {score:7.2f}  {name}")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Where the material is kept.")
@click.option("--set", "sets", multiple=True, type=click.Choice(NAMES), help="Only this set; repeatable.")
@click.option("--row", "rows", multiple=True, metavar="NAME", help="Only this row; repeatable.")
@click.option("--seed", "seeds", multiple=True, type=int, default=SEEDS, show_default=True)
@click.option("--count", default=12, show_default=True, help="Scores to print.")
def main(
    cache: Path | None, sets: tuple[str, ...], rows: tuple[str, ...], seeds: tuple[int, ...], count: int
) -> None:
    """Fit the weights by which unclean looks are judged."""
    store = Store(cache or default_cache())
    try:
        for name in sets or NAMES:
            prepare(store, name)
        table = chosen(only=rows)
    except (MaterialError, dtmf.DtmfError) as error:
        raise click.ClickException(str(error)) from error
    sources = [*of_material(store, sets or NAMES), *of_rows(table, seeds)]
    if len({looks.are_keys for looks in sources if len(looks.evidence)}) < 2:
        raise click.ClickException("nothing to tell apart: there have to be looks at keys and at none")
    tell(fitted(sources), sources, count)


if __name__ == "__main__":
    main()
