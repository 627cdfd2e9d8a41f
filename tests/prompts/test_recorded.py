"""A folder of a person's recordings, in any format, and its mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ivr_sim.errors import ConfigurationError
from ivr_sim.prompts import Catalogue
from ivr_sim.prompts.recorded import read_recordings


def tone(rate: int, seconds: float = 1.0) -> np.ndarray:
    return 0.25 * np.sin(2 * np.pi * 1000 * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW", "ALAW"])
def test_any_wav_will_do(tmp_path: Path, catalogue: Catalogue, rate: int, subtype: str) -> None:
    soundfile.write(tmp_path / "ask_key.wav", tone(rate), rate, subtype=subtype)
    sound = read_recordings(tmp_path, catalogue)["ask_key"]
    assert sound.dtype == np.int16
    assert not sound.flags.writeable
    assert len(sound) == pytest.approx(8000, abs=2)
    middle = sound[1000:7000] / 32768
    level = abs(middle @ np.exp(-2j * np.pi * 1000 * np.arange(6000) / 8000)) / 3000
    assert level == pytest.approx(0.25, rel=0.03)
    assert np.abs(middle).max() < 0.27


def test_nothing_above_the_telephone_band_is_folded_into_it(tmp_path: Path, catalogue: Catalogue) -> None:
    high = 0.25 * np.sin(2 * np.pi * 6000 * np.arange(48000) / 48000)
    soundfile.write(tmp_path / "ask_key.wav", high, 48000)
    sound = read_recordings(tmp_path, catalogue)["ask_key"]
    assert np.abs(sound[500:-500].astype(int)).max() < 30  # 50 dB down


def test_channels_are_mixed_and_loud_ones_limited(tmp_path: Path, catalogue: Catalogue) -> None:
    left = np.full(8000, 1.5)
    soundfile.write(tmp_path / "goodbye.wav", np.stack([left, left], axis=1), 8000, subtype="FLOAT")
    assert set(read_recordings(tmp_path, catalogue)["goodbye"].tolist()) == {32767}


def test_values_have_files_of_their_own_and_other_files_are_no_matter(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    for name in ("bad_card.luhn.wav", "bad_card.WAV", "declined.3003.wav"):
        soundfile.write(tmp_path / name, tone(8000, 0.1), 8000, format="WAV")
    (tmp_path / "README.txt").write_text("recorded by Ana")
    assert set(read_recordings(tmp_path, catalogue)) == {"bad_card", "bad_card.luhn", "declined.3003"}


@pytest.mark.parametrize(
    ("name", "hint"),
    [("ask_kye.wav", "ask_key.wav"), ("amount.wav", ""), ("approved.wav", ""), ("bad_card.lun.wav", "luhn")],
)
def test_a_file_that_names_nothing_recordable(
    tmp_path: Path, catalogue: Catalogue, name: str, hint: str
) -> None:
    soundfile.write(tmp_path / name, tone(8000, 0.1), 8000)
    with pytest.raises(ConfigurationError, match=name) as caught:
        read_recordings(tmp_path, catalogue)
    assert hint in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a sound" * 100, b"RIFF\xff\xff\xff\xffWAVEfmt "])
def test_a_file_that_is_no_sound(tmp_path: Path, catalogue: Catalogue, content: bytes) -> None:
    (tmp_path / "ask_key.wav").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"ask_key\.wav"):
        read_recordings(tmp_path, catalogue)


def test_empty_and_endless_recordings(tmp_path: Path, catalogue: Catalogue) -> None:
    path = tmp_path / "ask_key.wav"
    soundfile.write(path, np.zeros(0), 8000)
    with pytest.raises(ConfigurationError, match="empty"):
        read_recordings(tmp_path, catalogue)
    soundfile.write(path, np.zeros(8000 * 121), 8000)
    with pytest.raises(ConfigurationError, match="120 s"):
        read_recordings(tmp_path, catalogue)


def test_a_folder_that_is_not_there(tmp_path: Path, catalogue: Catalogue) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        read_recordings(tmp_path / "nowhere", catalogue)
