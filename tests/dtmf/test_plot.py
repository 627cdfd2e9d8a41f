"""Pictures are looked at by their pixels: what must be there, where it must be, and what must not."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from dtmf import DtmfError, generate, write_wav
from dtmf.cli import main
from dtmf.panel import COLUMNS, FRAME, HIGH, KEY_BACK, LEFT, MASK, REFUSED, SOUND, WIDTH
from dtmf.plot import plot
from dtmf.sound_view import view
from dtmf.spectrogram import HEAT, coloured, envelope, levels

VISA = "4111111111111111"  # a documented test card
RATE = 8000

Pixels = npt.NDArray[np.uint8]


def save(path: Path, *parts: Any, rate: int = RATE) -> Path:
    write_wav(path, np.concatenate(parts), rate)
    return path


def silence(seconds: float) -> npt.NDArray[np.float32]:
    return np.zeros(round(seconds * RATE), np.float32)


def drawn(path: Path, **options: Any) -> Pixels:
    return np.asarray(plot(path, **options))


def places(pixels: Pixels, colour: tuple[int, int, int]) -> npt.NDArray[np.intp]:
    """The columns, from the left edge of what is drawn, that have this colour."""
    found = np.flatnonzero((pixels == np.array(colour)).all(axis=2).any(axis=0)) - LEFT
    return found[found >= 0]


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(main, ["plot", *map(str, args)])


# The numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_column", [0.5, 40.0, 1000.0])
def test_a_sine_has_its_level_at_its_frequency(per_column: float) -> None:
    t = np.arange(4 * RATE) / RATE
    seen = levels((0.5 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32), 30, per_column)
    assert seen.shape == (129, 30)
    assert (seen.argmax(axis=0) == 32).all()  # 1000 / 31.25
    assert np.abs(seen.max(axis=0) + 6.02).max() < 0.05


def test_a_short_tone_is_seen_in_a_wide_column() -> None:
    sound = silence(100)
    sound[402_000:402_400] = generate("1", tone_ms=50)
    seen = levels(sound, 100, RATE, bins=60)
    assert seen.shape == (60, 100)
    assert seen.max(axis=0).argmax() == 50
    assert seen[:, 50].max() > -20
    assert (np.delete(seen, 50, axis=1) < -119.9).all()


def test_colours_go_from_black_to_light() -> None:
    picture = coloured(np.array([[-80.0, -70, -40], [-40, -5, 3]], np.float32), -70, -5)
    assert (picture[1, 0] == HEAT[0]).all()  # low frequencies are below
    assert (picture[1, 1] == HEAT[0]).all()
    assert (picture[0, 1] == HEAT[-1]).all()
    assert (picture[0, 2] == HEAT[-1]).all()


def test_a_waveform_hangs_together() -> None:
    highest, lowest = envelope(np.array([0, 1, -1, 0.5], np.float32), 8)
    assert highest.tolist() == [0, 1, 1, 1, -1, 0.5, 0.5, 0.5]
    assert lowest.tolist() == [0, 0, 1, -1, -1, -1, 0.5, 0.5]


@pytest.mark.parametrize("columns", [7, 300])
def test_a_view_is_the_same_however_the_sound_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    sound = np.random.default_rng(1).normal(0, 0.1, (3 * 16_000, 2)).astype(np.float32)
    write_wav(tmp_path / "a.wav", sound, 16_000)
    whole = view(tmp_path / "a.wav", 0.7, 2.9, columns, channels=2, bins=78)
    monkeypatch.setattr("dtmf.recording._PIECE", 2 * 1000)
    monkeypatch.setattr("dtmf.sound_view._MOST_SAMPLES", 3000)
    pieces = view(tmp_path / "a.wav", 0.7, 2.9, columns, channels=2, bins=78)
    for one, other in zip(whole, pieces, strict=True):
        # A column that begins another block may begin one sample earlier or later.
        assert np.median(np.abs(one.levels - other.levels)) < 0.5
        assert np.median(np.abs(one.highest - other.highest)) < 1e-3
        assert one.levels.shape == other.levels.shape == (78, columns)


def test_a_view_of_a_long_file_takes_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wav(tmp_path / "a.wav", np.zeros(600 * RATE, np.int16), RATE)  # 19 MB as floats
    monkeypatch.setattr("dtmf.recording._PIECE", 1 << 16)
    monkeypatch.setattr("dtmf.sound_view._MOST_SAMPLES", 1 << 16)
    tracemalloc.start()
    try:
        view(tmp_path / "a.wav", 0, 600, 300, channels=1, bins=78)
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()


# The picture -------------------------------------------------------------------------------------


def test_keys_are_framed_where_they_are(tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav", generate("15", tone_ms=100, gap_ms=200, lead_ms=300, tail_ms=300))
    pixels = drawn(path)
    assert pixels.shape[1] == WIDTH
    columns = places(pixels, FRAME)
    edges = columns[np.flatnonzero(np.diff(columns, prepend=-9) > 1)]
    np.testing.assert_allclose(edges, [0.3 * COLUMNS, 0.6 * COLUMNS], atol=5)
    # The tones lie in the middle of their frames.
    for seconds, hertz in ((0.35, (697, 1209)), (0.65, (770, 1336))):
        column = pixels[:, LEFT + round(seconds * COLUMNS)].astype(int)
        rows = np.flatnonzero((column == np.array(FRAME)).all(axis=1))
        assert len(rows) == 4  # two frames, the high tone's above
        high, low = (rows[0] + rows[1]) / 2, (rows[2] + rows[3]) / 2
        assert abs((low - high) - (hertz[1] - hertz[0]) / 2437.5 * HIGH) < 2
        for row, (top, bottom) in ((high, rows[:2]), (low, rows[2:])):
            brightest = top + 1 + column[top + 1 : bottom].sum(axis=1).argmax()
            assert abs(brightest - row) <= 3
    backs = places(pixels, KEY_BACK)
    assert backs.min() > 0.29 * COLUMNS
    assert backs.max() < 0.71 * COLUMNS


def test_refused_tones_are_marked(tmp_path: Path) -> None:
    short = generate("5", tone_ms=26, level_dbm0=-10)
    weak = generate("9", tone_ms=100, level_dbm0=-54)
    twisted = generate("1", tone_ms=100, twist_db=-14)
    none = drawn(save(tmp_path / "none.wav", silence(4)))
    for sound in (short, weak, twisted):
        pixels = drawn(save(tmp_path / "a.wav", silence(1), sound, silence(3)))
        marks, unmarked = places(pixels, REFUSED), places(none, REFUSED)
        fresh = np.setdiff1d(marks, unmarked)
        assert len(fresh) > 20
        seconds = 4 + len(sound) / RATE
        assert abs(fresh.min() - 1 / seconds * COLUMNS) < 6
        assert len(places(pixels, FRAME)) == 0


def test_channels_apart_and_rows_for_long_ones(tmp_path: Path) -> None:
    one = drawn(save(tmp_path / "one.wav", generate("1", tail_ms=900)))
    stereo = np.stack([generate("1", tail_ms=900), np.zeros(8000, np.float32)], axis=1)
    write_wav(tmp_path / "two.wav", stereo, RATE)
    two = drawn(tmp_path / "two.wav")
    panel = two.shape[0] - one.shape[0]
    assert len(places(two[:-panel], FRAME))
    assert not len(places(two[-panel:], FRAME))
    minute = drawn(save(tmp_path / "minute.wav", silence(50), generate("1"), silence(9.9)))
    hours = drawn(save(tmp_path / "hours.wav", silence(300)))
    assert one.shape[0] < minute.shape[0] < hours.shape[0] < 4000
    third = minute[-((minute.shape[0] - 62) // 3) :]
    assert abs(places(third, FRAME)[0] - COLUMNS / 2) < 5


def test_many_channels_are_bounded(tmp_path: Path) -> None:
    write_wav(tmp_path / "many.wav", np.zeros((8000, 20), np.float32), RATE)
    assert drawn(tmp_path / "many.wav").shape[0] < 5000


def test_a_part_shows_only_that(tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav", silence(5), generate("123", gap_ms=900, tail_ms=900), silence(30))
    part = drawn(path, start_s=5.9, end_s=6.3)
    columns = places(part, FRAME)
    assert abs(columns.min() - 0.25 * COLUMNS) < 5
    assert abs(columns.max() - 0.5 * COLUMNS) < 5
    assert len(places(drawn(path, start_s=20), FRAME)) == 0


def test_levels_have_no_room_among_hundreds_of_keys(tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav", generate("0123456789*#ABCD" * 30, tone_ms=45, gap_ms=35))
    assert len(places(drawn(path), FRAME)) > 0.3 * COLUMNS
    assert drawn(path, end_s=3).shape[1] == WIDTH


@pytest.mark.parametrize("samples", [1, 20, 200])
def test_hardly_any_sound_will_do(tmp_path: Path, samples: int) -> None:
    pixels = drawn(save(tmp_path / "a.wav", np.full(samples, 0.1, np.float32)))
    assert len(places(pixels, SOUND))


# Card numbers ------------------------------------------------------------------------------------


def test_nothing_of_a_card_is_seen(tmp_path: Path) -> None:
    """Another card, at other levels, gives the very same picture."""
    pictures = []
    for card, level in ((VISA, -10.0), ("5555555555554444", -20.0)):
        sound = generate(f"12#{card}#", tone_ms=70, gap_ms=60, lead_ms=200, tail_ms=900, level_dbm0=-10)
        first, last = round((0.2 + 3 * 0.13 - 0.03) * RATE), round((0.2 + 19 * 0.13 - 0.03) * RATE)
        sound[first:last] *= 10 ** ((level + 10) / 20)
        hidden = drawn(save(tmp_path / "a.wav", sound), mask=True)
        assert len(places(hidden, MASK)) > 0.5 * COLUMNS
        assert len(places(drawn(tmp_path / "a.wav"), FRAME)) > len(places(hidden, FRAME)) > 0
        pictures.append(hidden)
    assert (pictures[0] == pictures[1]).all()


def test_a_card_is_hidden_on_all_channels_and_in_every_part(tmp_path: Path) -> None:
    pictures = []
    for card in (VISA, "5555555555554444"):
        sound = generate(card, tone_ms=70, gap_ms=60, lead_ms=200, tail_ms=900)
        echo = np.roll(sound, 400) * 0.02
        write_wav(tmp_path / "a.wav", np.stack([sound, echo], axis=1), RATE)
        pictures.append((drawn(tmp_path / "a.wav", mask=True), drawn(tmp_path / "a.wav", mask=True, end_s=1)))
    for one, other in zip(*pictures, strict=True):
        assert (one == other).all()
        assert not len(places(one, FRAME))


def test_a_card_in_the_file_name_is_not_shown(tmp_path: Path) -> None:
    sound = generate("1", lead_ms=100, tail_ms=100)
    pictures = [
        drawn(save(tmp_path / f"{card}.wav", sound), mask=True) for card in (VISA, "5555555555554444")
    ]
    assert (pictures[0] == pictures[1]).all()


# The command -------------------------------------------------------------------------------------


def test_a_picture_is_written(tmp_path: Path) -> None:
    path = save(tmp_path / "ñandú.wav", generate("1234#", lead_ms=100), rate=RATE)
    result = run(path, "-o", tmp_path / "p.png", "--from", "0:00.1", "--to", "0.9", "--mask", "--keys", "12")
    assert (result.exit_code, result.output) == (0, "")
    with Image.open(tmp_path / "p.png") as image:
        assert (image.format, image.width) == ("PNG", WIDTH)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--from", "5"], "lasts 0.100 s; it cannot be drawn from 5 s on"),
        (["--from", "0.05", "--to", "0.05"], "0.01 s is the least"),
        (["--from", "0.05", "--to", "0.01"], "0.01 s is the least"),
        (["--to", "soon"], "is no time"),
        (["--to", "nan"], "is no time"),
        (["--from", "1:2:3:4"], "is no time"),
        (["-o", "p.jpg"], "PNG"),
        (["-o", "none/p.png"], "cannot be written"),
    ],
)
def test_what_cannot_be_drawn(tmp_path: Path, options: list[str], why: str) -> None:
    path = save(tmp_path / "a.wav", generate("1"))
    options = [str(tmp_path / option) if "p." in option else option for option in options]
    result = run(path, "-o", tmp_path / "p.png", *options)
    assert result.exit_code == 2
    assert why in result.stderr
    assert not list(tmp_path.rglob("p.*"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no sound")
    for path in (tmp_path / "a.wav", tmp_path / "none.wav", save(tmp_path / "empty.wav", silence(0))):
        result = run(path, "-o", tmp_path / "p.png")
        assert result.exit_code == 2
        assert result.stderr.startswith(f"dtmf: {path}: ")
    with pytest.raises(DtmfError, match="has no sound"):
        plot(tmp_path / "empty.wav")


def test_without_pillow_it_says_what_to_install(tmp_path: Path) -> None:
    path = save(tmp_path / "a.wav", generate("1"))
    program = "import sys; sys.modules['PIL'] = None; from dtmf.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "plot", str(path), "-o", str(tmp_path / "p.png")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install pillow" in done.stderr
    assert "Traceback" not in done.stderr
