"""Telephones that we did not write talk, hold, hang up and call off: audio is measured one at a time."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import soundfile

pytestmark = [pytest.mark.interop, pytest.mark.sip]


def test_audio_hold_and_hang_ups(
    house: Any, kit: Any, report: Any, client: Any, phones: Any, tmp_path: Any, on_reactor: Any
) -> None:
    phone = phones(client, client.name)
    tone, tape = kit.write_tone(tmp_path / "tone.wav"), tmp_path / "heard.wav"
    features = ["audio to the IVR", "audio from the IVR", "hang-up by the caller"]
    for feature in features + ["hold and resume"] * client.holds:
        report.row(client.name, feature, "failed")

    studio = call_studio(house, kit, phone)
    phone.tell(f"record {tape}")
    phone.tell(f"play {tone}")
    hear(kit, studio, 4.5)
    there, seconds = kit.snr_db(np.concatenate(studio.frames))
    assert seconds > 3
    assert there > client.limit_db
    report.row(client.name, "audio to the IVR", "passed", f"SNR {there:.1f} dB")
    if client.holds:
        phone.tell("hold")
        kit.until(lambda: studio.session.on_hold, "on hold")
        hear(kit, studio, 1)
        phone.tell("resume")
        kit.until(lambda: not studio.session.on_hold, "resumed")
        again = len(studio.frames)
        phone.tell(f"play {tone}")
        hear(kit, studio, 4)
        resumed, seconds = kit.snr_db(np.concatenate(studio.frames[again:]))
        assert seconds > 2
        assert resumed > client.limit_db
        report.row(client.name, "hold and resume", "passed", f"SNR {resumed:.1f} dB after it")
    phone.tell("hangup")
    ended = on_reactor(lambda: studio.session.ended)
    assert (ended.by, ended.status) == ("remote", None)
    phone.wait_for("ended")
    report.row(client.name, "hang-up by the caller", "passed")
    phone.close()  # with the call's end alone, some have not written all of it yet
    heard, rate = soundfile.read(tape, dtype="int16")
    assert rate == 8000
    back, seconds = kit.snr_db(heard if heard.ndim == 1 else heard[:, 0])
    assert seconds > 3
    assert back > client.limit_db
    report.row(client.name, "audio from the IVR", "passed", f"SNR {back:.1f} dB")


def test_calling_off_while_it_rings(
    house: Any, kit: Any, report: Any, client: Any, phones: Any, on_reactor: Any
) -> None:
    if not client.cancels:
        report.row(client.name, "cancel while ringing", "not in the client")
        pytest.skip(f"{client.name} cannot call off a call")
    report.row(client.name, "cancel while ringing", "failed")
    phone = phones(client, client.name)
    before = len(house.ringing)
    phone.tell("dial ringer")
    kit.until(lambda: len(house.ringing) > before, f"it rings: {phone.output}")
    session = house.ringing[-1]
    on_reactor(session.ring)
    threading.Event().wait(0.5)
    phone.tell("hangup")
    ended = on_reactor(lambda: session.ended)
    assert (ended.by, ended.status) == ("remote", 487)
    phone.wait_for("ended")
    report.row(client.name, "cancel while ringing", "passed", "487")


def call_studio(house: Any, kit: Any, phone: Any) -> Any:
    before = len(house.studios)
    phone.tell("dial studio")
    phone.wait_for("answered")
    kit.until(lambda: len(house.studios) > before, "the studio was called")
    return house.studios[-1]


def hear(kit: Any, studio: Any, seconds: float) -> None:
    """Let the studio listen for so long, by the call's own clock."""
    wanted = len(studio.frames) + round(seconds * 50)
    kit.until(lambda: len(studio.frames) >= wanted, f"{seconds} s heard", seconds + 15)
