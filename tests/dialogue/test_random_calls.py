"""Random calls on the virtual clock: all that must hold of them does, and would be seen if it did not."""

from __future__ import annotations

import pytest

from ivr_sim.journal import EntryAccepted

from .conftest import PAYABLE
from .random_calls.running import SEED, runner

SHARDS, CALLS = 4, 500  # `make soak` plays 10,000


@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_calls(shard):
    """A failure tells the world's name, and the command that plays it again."""
    with runner() as run:
        run.play_calls(SEED, shard * CALLS, CALLS)
        assert run.counts["call", "calls"] >= CALLS


# What random calls have found ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyed", "shown"),
    [
        (["506199#", "4282908531#"], [None, None]),  # a card number, keyed in two
        (["9#", "94282908#"], [None]),
        (["178917#", "994282#"], ["178917", "994282"]),
        (["506199#", "123456#"], [None, "123456"]),  # the merchant knows this one
    ],
)
def test_the_rest_of_a_card_is_not_shown_as_a_payment_key(stage, journal, keyed, shown):
    stage.keys.answers = {"123456": PAYABLE}
    stage.play({"ask_key": [*keyed, "!"], "amount": "!"})
    assert [e.value for e in journal.of(EntryAccepted)] == shown
    assert len(stage.call.key_spans()[1]) == sum(len(value) + 1 for value in shown if value)
