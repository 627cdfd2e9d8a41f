"""The searcher finds a card in every guise, and takes nothing else for one."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import pickle
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

NUMBER, CODE, EXPIRY = "5105105105105100", "073", "0931"
WORDS = "cinco uno cero cinco uno cero cinco"
HTTP = f'{{"card_number":"{NUMBER}","cvv2":"{CODE}"}}'

GUISES = {
    "number": f"paid with {NUMBER}",
    "part": "token for 510510xx",
    "last digits": f"ends in {NUMBER[-6:]}",
    "in groups": "5105 1051 0510 5100",
    "hyphens": "5105-1051",
    "other groups": "5105.1051.0510",
    "list": repr(list(NUMBER[:7])),
    "spelled": "-".join(NUMBER[:6]),
    "JSON list": json.dumps(list(NUMBER), indent=2),
    "named": " ".join(f"d={d}" for d in NUMBER),
    "Spanish": f"Marcó {WORDS}, gracias",
    "English": "five, one, oh, five, one, zero",
    "masked": "510510XXXXXX5100",
    "last four": "************5100",
    "percent": "".join(f"%{ord(c):02X}" for c in NUMBER),
    "entities": "".join(f"&#{ord(c)};" for c in NUMBER),
    "hex": HTTP.encode().hex(),
    "base64": base64.b64encode(f"x{HTTP}".encode()).decode(),
    "URL-safe base64": base64.urlsafe_b64encode(HTTP.encode()).decode(),
    "SHA-256": hashlib.sha256(NUMBER.encode()).hexdigest(),
    "broken up": "510/51051/0510\n5100",
    "lines of a log": "\n".join(f"12:0{n}:1{n}.17 DTMF begin '{d}' on 7" for n, d in enumerate(NUMBER[:9])),
    "events of RFC 4733": "\n".join(f"t={160 * n} event {int(d):02} volume 9" for n, d in enumerate(NUMBER)),
    "lines of two calls": "\n".join(f"call 0001 key {d}\ncall 0002 key 9" for d in NUMBER),
    "JSON lines": "\n".join(
        json.dumps({"call": "1", "t": n / 7, "event": "KeyPressed", "key": d}) for n, d in enumerate(NUMBER)
    ),
    "JSON document": json.dumps([{"key": int(d), "t": n * 0.31} for n, d in enumerate(NUMBER)]),
    "code in a field": '{"cvv2": 73}',
    "code near its name": f"security code was {CODE}.",
    "code near a number": f"{NUMBER[:6]}, {CODE}",
    "code digit by digit": "\n".join(f"{n}.5 s: key {d}" for n, d in enumerate(CODE)),
    "expiry": f"valid thru {EXPIRY}",
}  # fmt: skip

BYTES: dict[str, Callable[[], bytes]] = {
    "UTF-16": lambda: NUMBER.encode("utf-16"),
    "gzip": lambda: gzip.compress(HTTP.encode()),
    "zlib within": lambda: b"body: " + zlib.compress(HTTP.encode()) + b"!",
    "gzip in gzip": lambda: gzip.compress(gzip.compress(HTTP.encode())),
    "pickle": lambda: pickle.dumps({"typed": list(NUMBER)}),
    "pickled int": lambda: pickle.dumps({"typed": int(NUMBER)}),
    "packed": lambda: b"\x00" + bytes.fromhex(NUMBER) + b"\x00",
    "not UTF-8": lambda: b"\xff\xfe\x80 " + NUMBER[:6].encode(),
    "WAV with a comment": lambda: b"RIFF\x00\x00\x00\x00WAVELIST" + HTTP.encode(),
}


@pytest.fixture
def find(searcher):
    looking = searcher.Searcher(searcher.Secrets((NUMBER,), (CODE,), (EXPIRY,)))
    return lambda data: looking.data(data if isinstance(data, bytes) else data.encode(), "it")


@pytest.mark.parametrize("guise", GUISES)
def test_text(find, guise):
    assert find(GUISES[guise])


@pytest.mark.parametrize("guise", BYTES)
def test_bytes(find, guise):
    assert find(BYTES[guise]())


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T12:00:00.510Z charge tr51051 of 200.00 MXN approved, authorization 801585",
        '{"v":1,"seq":510,"event":"EntryAccepted","field":"cvv","length":3,"value":null}',
        '{"v":1,"seq":5105,"event":"EntryAccepted","field":"card_number","length":16,"value":null}',
        "12 digits, 3 of them 5, 1 and 0",
        "\n".join(f"{n} calls" for n in range(20)),
        "2073 ms for cvv2",
        "****",
        "ocho cero uno cinco ocho cinco",
        hashlib.sha256(b"something else").hexdigest(),
        "<object at 0x7f5105105100>",
        "at 1795441956.8510510, 0.0510510510510e-05",
        "card 4111111111111111",  # another's
    ],
)
def test_what_is_no_card(find, text):
    assert find(text) == []


def test_numbers_of_one_digit_tell_little(searcher):
    parts = searcher.Secrets(("4111111111111111",)).parts
    assert "41111111" in parts
    assert all(len(set(part)) > 1 for part in parts)


def test_rows_of_a_table(tmp_path, searcher):
    path = tmp_path / "keys.sqlite3"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE keys (call TEXT, digit TEXT, at REAL)")
        db.executemany("INSERT INTO keys VALUES ('1', ?, ?)", [(d, n / 7) for n, d in enumerate(NUMBER)])
        db.commit()
    found = searcher.Searcher(searcher.Secrets((NUMBER,))).folder(tmp_path)
    assert any(f.guise.startswith("one digit per record") and "table keys" in f.where for f in found)


@pytest.mark.parametrize("wal", [True, False])
def test_what_was_deleted_from_a_database(tmp_path, searcher, wal):
    path = tmp_path / "charges.sqlite3"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}")
        db.execute("PRAGMA secure_delete=OFF")
        db.execute("CREATE TABLE charges (id TEXT, card TEXT)")
        db.execute("INSERT INTO charges VALUES ('tr1', ?)", (NUMBER,))
        db.commit()
        db.execute("DELETE FROM charges")
        db.commit()
        assert db.execute("SELECT count(*) FROM charges").fetchone() == (0,)
        found = searcher.Searcher(searcher.Secrets((NUMBER,))).folder(tmp_path)
    assert {f.where for f in found} >= {"charges.sqlite3-wal" if wal else "charges.sqlite3"}


def test_names_of_files(tmp_path, searcher):
    (tmp_path / f"call-{NUMBER}.txt").touch()
    assert searcher.Searcher(searcher.Secrets((NUMBER,))).folder(tmp_path)


def test_a_code_among_timestamps_is_none(find):
    began = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    lines = [
        json.dumps({"at": (began + timedelta(milliseconds=n)).isoformat(), "event": "cvv"})
        for n in range(0, 3000, 7)
    ]
    assert find("\n".join(lines)) == []
