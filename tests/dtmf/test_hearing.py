from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dtmf import KEYS_12, DtmfError, Heard, Tone, decode, decode_file, generate, write_wav
from dtmf.hearing import together


def stereo(path: Path, rate: int = 8000) -> tuple[np.ndarray, np.ndarray]:
    left = generate("123A", rate=rate, tone_ms=60, lead_ms=50, tail_ms=900)
    right = generate("#0*9", rate=rate, tone_ms=70, lead_ms=333)
    right = np.pad(right, (0, len(left) - len(right)))
    write_wav(path, np.stack([left, right], axis=1), rate)
    return left, right


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
@pytest.mark.parametrize("piece", [None, 700, 4001])
def test_a_file_is_heard_as_its_samples_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: int, piece: int | None
) -> None:
    sounds = stereo(tmp_path / "a.wav", rate)
    if piece is not None:
        monkeypatch.setattr("dtmf.recording._PIECE", piece)
    heard = decode_file(tmp_path / "a.wav")
    assert [one.channel for one in heard] == [1, 2]
    assert [one.digits for one in heard] == ["123A", "#0*9"]
    for one, sound in zip(heard, sounds, strict=True):
        assert one.duration_s == len(sound) / rate
        sixteen = np.round(sound * 32768).astype(np.int16)  # as they were written
        assert one.tones == decode(sixteen, rate)


def test_one_channel(tmp_path: Path) -> None:
    stereo(tmp_path / "a.wav")
    [second] = decode_file(tmp_path / "a.wav", channel=2)
    assert (second.channel, second.digits) == (2, "#0*9")
    for missing in (0, 3):
        with pytest.raises(DtmfError, match=f"no channel {missing}; it has 2"):
            decode_file(tmp_path / "a.wav", channel=missing)


def test_keys_and_near_misses(tmp_path: Path) -> None:
    stereo(tmp_path / "a.wav")
    assert decode_file(tmp_path / "a.wav", keys=KEYS_12)[0].digits == "123"
    sound = np.concatenate([generate("5", tone_ms=22, lead_ms=100, tail_ms=200), generate("7", tail_ms=100)])
    write_wav(tmp_path / "b.wav", sound, 8000)
    [heard] = decode_file(tmp_path / "b.wav", refusals=True)
    assert heard.digits == "7"
    assert [miss.reason for miss in heard.refused] == ["too_short"]
    assert decode_file(tmp_path / "b.wav")[0].refused == []


def test_no_samples(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.zeros((0, 2), np.float32), 16000)
    assert decode_file(tmp_path / "a.wav") == [Heard(1, 0.0, [], []), Heard(2, 0.0, [], [])]


def test_channels_together() -> None:
    def tone(digit: str, start: float, end: float) -> Tone:
        return Tone(digit, start, end, -10.0, 0.0)

    near = [tone("1", 0.1, 0.2), tone("1", 0.4, 0.5), tone("2", 0.6, 0.7)]
    far = [tone("1", 0.12, 0.21), tone("3", 0.62, 0.7), tone("2", 0.7, 0.8)]
    heard = [Heard(1, 1.0, near, []), Heard(2, 1.0, far, [])]
    assert "".join(tone.digit for tone in together(heard)) == "11232"
    assert together(heard[:1]) == near
