"""A card keyed in groups where the payment key is asked for: no group of it is shown."""

from __future__ import annotations

import pytest

from ivr_sim.journal import EntryAccepted

pytestmark = pytest.mark.sip


@pytest.mark.parametrize("groups", ["60110009# 90139424#", "601# 100099013942#"])
def test_no_group_is_shown(on_reactor, tmp_path, scenes, search, groups):
    with scenes.under_test(), scenes.everything_logged(tmp_path / "log"):
        records = on_reactor(scenes.replayed, tmp_path, f"{groups} {{key}}#")
    shown = [r.event.value for r in records if isinstance(r.event, EntryAccepted)]
    assert shown[-1] == "912345"
    assert search(tmp_path) == []
