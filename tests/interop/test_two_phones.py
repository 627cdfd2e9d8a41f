"""Two telephones registered at once from one address: they talk to each other while one calls the IVR."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import soundfile

from ivr_sim.journal import CallEnded, EntryAccepted

pytestmark = [pytest.mark.interop, pytest.mark.sip]


def pair(kit: Any) -> tuple[Any, Any]:
    """Two telephones, of two makers where both are there."""
    here = [kit.clients[name] for name in ("pjsua2", "baresip") if kit.clients[name].missing is None]
    if not here:
        pytest.skip("neither baresip nor pjsua2 is installed")
    return here[0], here[-1]


def test_two_telephones_talk_while_one_calls_the_ivr(
    house: Any, kit: Any, report: Any, phones: Any, tmp_path: Any, on_reactor: Any
) -> None:
    first, second = pair(kit)
    name = f"{first.name}, {second.name}"
    feature = "two phones of one address: call each other, one calls the IVR meanwhile"
    report.row(name, feature, "failed")
    on_reactor(house.issue, "two", "310000")
    one, two = phones(first, "one"), phones(second, "two")
    bindings = house.node.exchange.registrations
    hosts = {bindings[user][0].source[0] for user in ("one", "two")}
    assert hosts == {"127.0.0.1"}

    one.tell("dial two")
    one.wait_for("answered")
    two.wait_for("answered")
    tape = tmp_path / "heard-by-one.wav"
    one.tell(f"record {tape}")
    two.tell(f"play {kit.write_tone(tmp_path / 'tone.wav', 3)}")
    kit.until(lambda: two.heard("answered") == 1, "one call each")
    kit.pause(3.5)

    house.on_prompt("two", {"ask_key": "310000#", "amount": "2"}, lambda keys: two.tell(f"press {keys}"))
    two.tell("dial 5000")
    two.wait_for("answered", 2)
    two.wait_for("ended", 1, seconds=60)
    assert one.heard("ended") == 0
    [ended] = house.of("two", CallEnded)
    assert (ended.outcome, ended.by) == ("rejected", "ivr")
    assert [e.value for e in house.of("two", EntryAccepted)] == ["310000", "2"]

    one.tell("hangup")
    one.wait_for("ended")
    two.wait_for("ended", 2)
    one.close()
    heard, rate = soundfile.read(tape, dtype="int16")
    assert rate == 8000
    snr, seconds = kit.snr_db(np.asarray(heard))
    assert seconds > 2
    assert snr > 35
    report.row(name, feature, "passed", f"SNR {snr:.1f} dB between them")
