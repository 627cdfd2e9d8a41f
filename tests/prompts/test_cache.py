"""Sounds on disk: whole or not at all, shared, bounded."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from ivr_sim.media.g711 import PCMU
from ivr_sim.prompts.cache import SoundCache, sound_key

KEY = sound_key("es-MX", "fake", "Hola.")
SOUND = np.arange(-8000, 8000, 10, dtype=np.int16)
KEPT = PCMU.decode(PCMU.encode(SOUND))


def only_file(folder: Path) -> Path:
    (path,) = (path for path in folder.rglob("*") if path.is_file())
    return path


def test_keys_tell_language_voice_and_text_apart() -> None:
    keys = {
        sound_key(*parts)
        for parts in [
            ("es-MX", "fake", "Hola."), ("es-ES", "fake", "Hola."), ("es-MX", "fake-2", "Hola."),
            ("es-MX", "fake", "Hola"), ("es-MX", "fakeH", "ola."), ("es-MXf", "ake", "Hola."),
        ]
    }  # fmt: skip
    assert len(keys) == 6
    assert len(KEY) == 64


def test_what_is_put_is_got_by_everybody(tmp_path: Path) -> None:
    cache = SoundCache(tmp_path / "deep" / "cache")
    assert cache.get(KEY) is None
    assert not (tmp_path / "deep").exists()
    cache.put(KEY, SOUND)
    for reader in (cache, SoundCache(tmp_path / "deep" / "cache")):
        got = reader.get(KEY)
        assert got is not None
        np.testing.assert_array_equal(got, KEPT)
    assert cache.get(sound_key("es-MX", "fake", "Adiós.")) is None


@pytest.mark.parametrize("damage", ["cut", "empty", "digest", "flipped", "zeros"])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, damage: str) -> None:
    cache = SoundCache(tmp_path)
    cache.put(KEY, SOUND)
    path = only_file(tmp_path)
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[-1] ^= 1
    harmed = {"cut": data[:-1], "empty": b"", "digest": data[:32], "flipped": data, "zeros": bytes(len(data))}
    path.write_bytes(harmed[damage])
    with capture_logs() as logs:
        assert cache.get(KEY) is None
    assert [entry["path"] for entry in logs] == [str(path)]
    cache.put(KEY, SOUND)
    np.testing.assert_array_equal(cache.get(KEY), KEPT)


def test_writers_of_one_key_leave_one_whole_file(tmp_path: Path) -> None:
    """Eight writers and two readers at once: a reader finds all or nothing, and no draft stays."""
    caches = [SoundCache(tmp_path) for _ in range(8)]
    seen: list[bool] = []

    def write(cache: SoundCache) -> None:
        for _ in range(20):
            cache.put(KEY, SOUND)

    def read() -> None:
        for _ in range(60):
            got = SoundCache(tmp_path).get(KEY)
            seen.append(got is None or np.array_equal(got, KEPT))

    threads = [threading.Thread(target=write, args=(cache,)) for cache in caches]
    threads += [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert all(seen)
    assert len(seen) == 120
    assert only_file(tmp_path).suffix == ".sound"


def test_the_longest_unheard_go_first(tmp_path: Path) -> None:
    sound = np.zeros(1000, np.int16)
    keys = [sound_key("es-MX", "fake", str(n)) for n in range(12)]
    roomy = SoundCache(tmp_path)
    for age, key in enumerate(keys[:10]):
        roomy.put(key, sound)
        os.utime(tmp_path / key[:2] / f"{key}.sound", (1_000_000 + age, 1_000_000 + age))
    assert roomy.get(keys[0]) is not None  # heard just now, so it stays
    tight = SoundCache(tmp_path, limit=6000)
    tight.put(keys[10], sound)
    kept = [key for key in keys if tight.get(key) is not None]
    assert set(kept) >= {keys[0], keys[10]}
    assert keys[1] not in kept
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.sound")) <= 4500
    for n in range(100):
        tight.put(sound_key("es-MX", "fake", f"more {n}"), sound)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.sound")) <= 6000 + 2 * 1032


def test_a_folder_that_cannot_be_written_is_told_once_and_survived(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = SoundCache(tmp_path / "file" / "cache")
    with capture_logs() as logs:
        cache.put(KEY, SOUND)
        cache.put(KEY, SOUND)
        assert cache.get(KEY) is None
    assert len(logs) == 1
    assert str(tmp_path) in logs[0]["folder"]
