"""Pictures: what is drawn, and what happens when it cannot be."""

from __future__ import annotations

import json
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from twisted.internet import reactor
from twisted.internet.defer import gatherResults

from ivr_sim.reports import picture
from ivr_sim.reports.pictures import MAX_WAITING, Pictures

PROMPT, RFC4733, REFUSED = (190, 222, 196), (38, 110, 200), (214, 60, 48)


def event(kind: str, t: float | None, **more: Any) -> dict[str, Any]:
    return {"v": 1, "call": "0001", "t": t, "at": "2026-11-23T12:00:00.000Z", "event": kind, **more}


EVENTS = [
    event("CallOffered", None, **{"from": "1001", "to": "5000", "user_agent": "Ñandú\x1b 1.0"}),
    event("CallAnswered", 0.0, codec="PCMU"),
    event("PromptStarted", 0.1, name="ask_key"),
    event("PromptEnded", 2.0, name="ask_key", cut_by="key"),
    event("KeyPressed", 2.2, method="rfc4733", start=2.0, duration_ms=120),
    event("KeyRefused", 2.6, method="inband", start=2.5, duration_ms=20, reason="too_short"),
    event("EntryAccepted", 3.0, field="payment_key", length=1, value="7"),
    event("EntryRefused", 3.5, field="card_number", reason="luhn"),
    event("AuthorizerReplied", 4.0, cause="ok", ms=500),
    event("ChargeSettled", 6.0, result="approved", ms=800),
    event("CallEnded", 7.0, outcome="approved", cause=None),
    event("SomethingNew", 7.0, of="a later version"),
]


def paths(folder: Path, events: Any = EVENTS, seconds: float | None = 8.0) -> tuple[Path, Path, Path]:
    (folder / "j.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    if seconds is not None:
        t = np.arange(round(seconds * 8000)) / 8000
        sides = np.stack([0.3 * np.sin(2 * np.pi * 1000 * t), 0.1 * np.sin(2 * np.pi * 300 * t)], axis=1)
        with wave.open(str(folder / "r.wav"), "wb") as wav:
            wav.setnchannels(2)
            wav.setsampwidth(2)
            wav.setframerate(8000)
            wav.writeframes((sides * 32767).astype("<i2").tobytes())
    return folder / "j.jsonl", folder / "r.wav", folder / "p.png"


def drawn(*files: Path) -> Any:
    picture.draw(*files)
    assert files[2].stat().st_mode & 0o077 == 0
    with Image.open(files[2]) as image:
        return np.asarray(image.convert("RGB"))


def count(pixels: Any, colour: tuple[int, int, int]) -> int:
    return int((pixels == np.array(colour, np.uint8)).all(axis=2).sum())


def test_bars_and_sound_are_where_they_should_be(tmp_path):
    pixels = drawn(*paths(tmp_path))
    assert pixels.shape[1] == 1600
    # 1.9 of 8 seconds in a lane of 1494 pixels, some 16 high, with a name in it.
    assert 3500 < count(pixels, PROMPT) < 6500
    assert count(pixels, RFC4733) > 200
    assert count(pixels, REFUSED) > 50
    # A tone of 1 kHz is bright a quarter of the way up the spectrogram, and nowhere else.
    rows = np.flatnonzero(pixels[:, 400].astype(int).sum(axis=1) < 100)  # its black ground
    top, bottom = rows[0], rows[-1]
    column = pixels[top:bottom, 700].astype(int).sum(axis=1)
    bright = np.flatnonzero(column > 400) / (bottom - top)
    assert len(bright)
    assert abs(bright.mean() - 0.75) < 0.03


def test_long_calls_take_several_rows(tmp_path):
    one = drawn(*paths(tmp_path, seconds=30))
    four = drawn(*paths(tmp_path, seconds=150))
    assert four.shape[0] > 3 * one.shape[0]


@pytest.mark.parametrize("seconds", [None, 0.0, 0.01])
def test_hardly_any_sound_will_do(tmp_path, seconds):
    assert count(drawn(*paths(tmp_path, seconds=seconds)), PROMPT) > 500


def test_a_call_that_was_never_answered(tmp_path):
    events = [EVENTS[0], event("CallFailed", None, status=488, reason="Not Acceptable Here")]
    assert drawn(*paths(tmp_path, events, None)).shape[1] == 1600


def test_many_keys_and_names_without_room(tmp_path):
    keys = [
        event("KeyRefused", n / 100, method="inband", start=n / 100, duration_ms=5, reason="twist" * 40)
        for n in range(800)
    ]
    assert drawn(*paths(tmp_path, [*EVENTS, *keys])).shape[1] == 1600


@pytest.mark.parametrize(
    ("journal", "recording"),
    [("", b"no wav"), ("{", b""), ('{"event": "KeyPressed"}', b""), ("[]", b""), ("", b"RIFF")],
)  # fmt: skip
def test_files_that_cannot_be_read_are_said_in_one_line(tmp_path, capsys, journal, recording):
    files = tmp_path / "j", tmp_path / "r", tmp_path / "p.png"
    files[0].write_text(journal)
    files[1].write_bytes(recording)
    assert picture.main([str(path) for path in files]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not files[2].exists()
    assert len(list(tmp_path.iterdir())) == 2


# In child processes ------------------------------------------------------------------------------


def ask(
    on_reactor: Any, folders: list[tuple[Path, Path, Path]], stop: float | None = None, **options: Any
) -> Any:
    async def run() -> Any:
        pictures = Pictures(reactor, **options)
        asked = [pictures.draw(*files) for files in folders]
        if stop is not None:
            await pictures.stop(stop)
        whys = await gatherResults(asked)
        await pictures.stop()
        return whys, await pictures.draw(*folders[0])

    return on_reactor(run)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_one_after_the_other(on_reactor, tmp_path):
    folders = []
    for n in range(3):
        (tmp_path / str(n)).mkdir()
        folders.append(paths(tmp_path / str(n), seconds=1))
    folders[1][0].unlink()
    whys, after = ask(on_reactor, folders)
    assert [whys[0], whys[2]] == [None, None]
    assert "FileNotFoundError" in whys[1]
    assert [files[2].exists() for files in folders] == [True, False, True]
    assert after == "ivr-sim stopped before it was drawn"


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (python("import os; os._exit(3)"), "its process died"),
        (python("raise SystemExit('out of ink')"), "out of ink"),
        (["/nonexistent/python"], ""),
    ],
)
def test_a_process_that_dies(on_reactor, tmp_path, command, why):
    [said], _ = ask(on_reactor, [paths(tmp_path)], command=command)
    assert said is not None
    assert why in said


def test_a_process_that_hangs_is_ended(on_reactor, tmp_path):
    [said], _ = ask(on_reactor, [paths(tmp_path)], command=python("import time; time.sleep(60)"), timeout=0.3)
    assert said == "it took more than 0.3 s"


def test_a_stop_waits_for_so_long_only(on_reactor, tmp_path):
    hanging = python("import time; time.sleep(60)")
    whys, _ = ask(on_reactor, [paths(tmp_path)] * 3, command=hanging, stop=0.2)
    assert whys == ["ivr-sim stopped before it was drawn"] * 3


def test_so_many_wait_at_most(on_reactor, tmp_path):
    files = [paths(tmp_path, seconds=0.1)] * (MAX_WAITING + 3)
    whys, _ = ask(on_reactor, files, command=python("import time; time.sleep(60)"), stop=0.1)
    assert whys[-1] == f"{MAX_WAITING} pictures wait to be drawn already"
    assert len(whys) == MAX_WAITING + 3
