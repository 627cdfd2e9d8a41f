"""Searches what calls leave behind for the cards that were keyed in them.

A card's digits can leave in more guises than their own. What is looked for, in every file:

    the number, and every part of it that tells something     plain, hex, base64, UTF-16, percent, binary
    the same in groups, or digit by digit                      4000 0012, 4-0-0-0, ["4", "0"], "cuatro cero"
    the masked number                                          400000XXXXXX0124, ************0124
    one digit per record                                       a column, a JSON field, a line of a log
    the security code                                          beside a word such as cvv, or beside a number
    the expiry as keyed                                        0931

and inside of compressed parts, SQLite tables (beside their files byte by byte), and pickles.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import pickletools
import re
import shutil
import sqlite3
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

WORDS = {
    "cero": "0", "uno": "1", "dos": "2", "tres": "3", "cuatro": "4", "cinco": "5", "seis": "6",
    "siete": "7", "ocho": "8", "nueve": "9",
    "zero": "0", "oh": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6",
    "seven": "7", "eight": "8", "nine": "9",
}  # fmt: skip
_WORD = "|".join(sorted(WORDS, key=len, reverse=True))
SPOKEN = re.compile(rf"\b(?:{_WORD})\b(?:[^a-z0-9]{{1,6}}\b(?:{_WORD})\b){{2,}}")
# Digits one by one, with the very same thing between them; and numbers in groups as printed on cards.
ONE_BY_ONE = re.compile(r"(?<![0-9])[0-9]([^0-9]{1,24})[0-9](?:\1[0-9]){4,}(?![0-9])")
GROUPED = re.compile(r"(?<![0-9])[0-9]{4}([ .-])[0-9]{4,6}(?:\1[0-9]{1,7}){0,3}(?![0-9])")
MASKED = re.compile(r"(?<![0-9])([0-9]{0,6})[xX*•#]{4,12}([0-9]{0,4})(?![0-9])")
CARD_WORDS = re.compile(r"cv[vc]|security|seguridad|card|tarjeta|expir|venc", re.IGNORECASE)
NEAR = 60  # characters between a word and the code that it may be about
# Addresses in memory, hashes of 256 bits, fractions: many digits by chance, and no way to write a card.
MACHINE = re.compile(r"\b0x[0-9a-fA-F]{8,16}\b|\b[0-9a-f]{64}\b|\b[0-9]{1,12}\.[0-9]{5,}(?:e-?[0-9]+)?\b")
NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?|(?<=['\"=])[*#](?=['\",]|$)")
KEYPAD = re.compile(r"0?[0-9]|[*#]|1[01]")
COMPRESSED = (b"\x1f\x8b\x08", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True)
class Finding:
    """What leaked: in which artefact, in what guise, and the words around it."""

    where: str
    guise: str
    shown: str


@dataclass(frozen=True)
class Secrets:
    """What was keyed: card numbers, security codes, expiries (MMYY).

    Codes and expiries should begin with a zero: no number that a program prints does, so that none is
    taken for one by chance.
    """

    numbers: tuple[str, ...]
    codes: tuple[str, ...] = ()
    expiries: tuple[str, ...] = ()

    @cached_property
    def parts(self) -> dict[str, str]:
        """Parts of the numbers that tell something, each as short as can be; of which number each is."""
        parts = {}
        for number in self.numbers:
            for start in range(len(number)):
                for end in range(start + 6, len(number) + 1):
                    if _telling(number[start:end]):
                        parts[number[start:end]] = number
                        break
        return parts

    @cached_property
    def encoded(self) -> dict[bytes, str]:
        """The same as bytes, in the guises that a search for text would miss."""
        found: dict[bytes, str] = {}
        for part in self.parts:
            plain = part.encode()
            found[plain.hex().encode()] = "hex"
            found["".join(f"%{c:02x}" for c in plain).encode()] = "percent"
            found["".join(f"\\x{c:02x}" for c in plain).encode()] = "escaped"
            found["".join(f"\\u{c:04x}" for c in plain).encode()] = "escaped"
            found["".join(f"&#{c};" for c in plain).encode()] = "escaped"
            found[plain.decode().encode("utf-16-le")] = "utf-16"
            found[plain.decode().encode("utf-16-be")] = "utf-16"
            for shift in range(3):  # as it stands within a longer text: the bits that others share left out
                whole = base64.b64encode(b"\0" * shift + plain)
                found[whole[-(-shift * 8 // 6) : (shift + len(plain)) * 8 // 6]] = "base64"
        for number in self.numbers:
            value = int(number)
            size = -(-value.bit_length() // 8)
            found[value.to_bytes(size, "little")] = "binary"
            found[value.to_bytes(size, "big")] = "binary"
            found[bytes.fromhex(number + "f" * (len(number) % 2))] = "packed"
            for method in ("md5", "sha1", "sha256"):  # so few numbers are possible that all can be tried
                found[hashlib.new(method, number.encode()).hexdigest().encode()] = "hash"
        return found


def _telling(part: str) -> bool:
    """Whether these digits tell something: 111111 may be anything, 510510 and 41111111 may not."""
    kinds = len(set(part))
    return (len(part) >= 8 and kinds >= 2) or (len(part) >= 6 and kinds >= 3)


class Searcher:
    """Searches for one set of secrets."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        codes = "|".join(map(re.escape, secrets.codes)) or "(?!)"
        plain = "|".join(str(int(c)) for c in secrets.codes) or "(?!)"
        expiries = "|".join(map(re.escape, secrets.expiries)) or "(?!)"
        self._code = re.compile(rf"(?<![0-9A-Za-z.])(?:{codes})(?![0-9A-Za-z])")
        self._code_field = re.compile(
            rf"(?:cv[vc]2?|security_?code)[\"']?\s*[=:]\s*[\"']?(?:{codes}|{plain})\b", re.I
        )
        self._expiry = re.compile(rf"(?<![0-9A-Za-z.:])(?:{expiries})(?![0-9A-Za-z])")

    def folder(self, folder: Path) -> list[Finding]:
        """Everything in a folder: the names of the files, and what is in them."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        names = "\n".join(str(path.relative_to(folder)) for path in paths)
        found = self.text(names, f"names in {folder.name}")
        for path in paths:
            found += self.file(path, str(path.relative_to(folder)))
        return found

    def file(self, path: Path, where: str = "") -> list[Finding]:
        """One file: its bytes, and what they mean by their kind."""
        data, where = path.read_bytes(), where or path.name
        found = self.data(data, where)
        if data.startswith(SQLITE):
            found += self._database(path, where)
        return found

    def data(self, data: bytes, where: str, *, depth: int = 3) -> list[Finding]:
        """Bytes of any kind."""
        if data.startswith(b"RIFF"):  # in samples there are no words: their sound is for the ear
            return self._plain(" ".join(re.findall(r"[0-9]{6,}", data.decode("latin-1"))), where)
        found = [
            Finding(where, guise, _around(data.decode("latin-1"), data.find(pattern)))
            for pattern, guise in self._secrets.encoded.items()
            if pattern in data or (guise in ("hex", "percent", "escaped", "hash") and pattern.upper() in data)
        ]
        found += self.text(_text(data), where)
        found += self._pickle(data, where)
        for inner in _unpacked(data) if depth else ():
            found += self.data(inner, f"{where}, unpacked", depth=depth - 1)
        return found

    def text(self, text: str, where: str) -> list[Finding]:
        """Text of any kind."""
        text = MACHINE.sub("0.0", text)  # JSON stays JSON
        found = self._plain(text, where)
        for match in GROUPED.finditer(text):
            found += self._digits(re.sub(r"[^0-9]", "", match.group()), where, "grouped", match.group())
        for match in ONE_BY_ONE.finditer(text):
            found += self._digits(
                re.sub(r"[^0-9]", "", match.group()), where, "digit by digit", match.group()
            )
        for match in SPOKEN.finditer(text.lower()):
            said = "".join(WORDS[word] for word in re.findall(_WORD, match.group()))
            found += self._digits(said, where, "in words", match.group())
        for match in MASKED.finditer(text):
            first, last = match.groups()
            for number in self._secrets.numbers:
                if (len(first) == 6 and number.startswith(first)) or (
                    len(last) == 4 and number.endswith(last)
                ):
                    found.append(Finding(where, "masked number", match.group()))
        squeezed = re.sub(r"(?<=[0-9])[^0-9A-Za-z]{1,4}(?=[0-9])", "", text)
        for number in self._secrets.numbers:
            for start in range(len(number) - 11):
                part = number[start : start + 12]
                if len(set(part)) > 2 and part in squeezed:
                    found.append(Finding(where, "broken up", _around(squeezed, squeezed.find(part))))
        found += self._codes(text, where)
        found += self._records(text, where)
        return found

    def _plain(self, text: str, where: str) -> list[Finding]:
        return [
            Finding(where, "number" if len(part) > 12 else "part of a number", _around(text, text.find(part)))
            for part in (*self._secrets.numbers, *self._secrets.parts)
            if part in text
        ]

    def _digits(self, digits: str, where: str, guise: str, shown: str) -> list[Finding]:
        """A run of digits put together from what stood apart; a code alone is enough where little else is."""
        for part in (*self._secrets.numbers, *self._secrets.parts):
            if part in digits:
                return [Finding(where, guise, shown[:200])]
        if len(digits) <= 12 and any(code in digits for code in self._secrets.codes):
            return [Finding(where, f"security code, {guise}", shown[:200])]
        return []

    def _codes(self, text: str, where: str) -> list[Finding]:
        found = [
            Finding(where, "security code", _around(text, m.start())) for m in self._code_field.finditer(text)
        ]
        for match in self._code.finditer(text):
            line_start = text.rfind("\n", 0, match.start()) + 1
            line_end = text.find("\n", match.end())
            near = text[
                max(line_start, match.start() - NEAR) : min(
                    line_end if line_end >= 0 else len(text), match.end() + NEAR
                )
            ]
            if CARD_WORDS.search(near) or any(part in near for part in self._secrets.parts):
                found.append(Finding(where, "security code", near))
        found += [Finding(where, "expiry", _around(text, m.start())) for m in self._expiry.finditer(text)]
        return found

    # One digit per record -----------------------------------------------------------------------

    def _records(self, text: str, where: str) -> list[Finding]:
        """Lines as JSON, where they are; else lines that differ by numbers only."""
        sequences: dict[tuple[Any, ...], list[str]] = defaultdict(list)
        with suppress(ValueError, RecursionError):
            for path, leaf in _leaves(json.loads(text)):
                sequences[path].append(leaf)
        templates: dict[str, list[list[str]]] = defaultdict(list)
        for line in text.splitlines():
            if len(line) > 4000:
                continue
            if line.startswith("{"):
                with suppress(ValueError, RecursionError):
                    record = json.loads(line)
                    call, event = record.get("call"), record.get("event")
                    for path, leaf in _leaves(record):
                        sequences[("call", call, event, *path)].append(leaf)
                        sequences[("any call", event, *path)].append(leaf)
                    continue
            values = NUMBER.findall(line)
            if values:
                templates[NUMBER.sub("\0", line)].append(values)
        for template, rows in templates.items():
            for n in range(len(rows[0])):
                if len(rows) > 2 and all(KEYPAD.fullmatch(row[n]) for row in rows):
                    sequences[(template, n)] = [row[n] for row in rows]
                    for m in range(len(rows[0])):  # where lines of several calls alternate
                        for row in rows:
                            sequences[(template, n, m, row[m])] += [row[n]] if m != n else []
        return self._sequences(sequences, where)

    def _sequences(self, sequences: Mapping[tuple[Any, ...], list[str]], where: str) -> list[Finding]:
        found = []
        for name, values in sequences.items():
            if len(values) > 2 and not _counter(values):
                keys = "".join(_key(value) for value in values)
                found += self._digits(keys, where, f"one digit per record ({name})", " ".join(values))
        return found

    def _database(self, path: Path, where: str) -> list[Finding]:
        """All tables, on a copy: reading may write."""
        found: list[Finding] = []
        with tempfile.TemporaryDirectory() as folder:
            for beside in path.parent.glob(f"{path.name}*"):
                shutil.copy(beside, folder)
            with closing(sqlite3.connect(Path(folder, path.name))) as db:
                names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
                for table in names:
                    cursor = db.execute(f'SELECT * FROM "{table}"')  # noqa: S608  (names out of itself)
                    columns = [column[0] for column in cursor.description]
                    rows = [[_plain_text(value) for value in row] for row in cursor]
                    lines = [" ".join(f"{c}={v}" for c, v in zip(columns, row, strict=True)) for row in rows]
                    found += self.text("\n".join(lines), f"{where}, table {table}")
                    by_column = {(c,): [row[n] for row in rows] for n, c in enumerate(columns)}
                    found += self._sequences(by_column, f"{where}, table {table}")
        return found

    def _pickle(self, data: bytes, where: str) -> list[Finding]:
        if not (data.startswith(b"\x80") and data.endswith(b".")):
            return []
        values, memo = [], []
        with suppress(ValueError, IndexError):
            for opcode, arg, _ in pickletools.genops(data):
                if opcode.name == "MEMOIZE":
                    memo.append(values[-1] if values else "")
                elif opcode.name in ("BINGET", "LONG_BINGET"):
                    values.append(memo[arg])
                elif isinstance(arg, str | int):
                    values.append(str(arg))
                else:
                    values.append("")
        keys = [value for value in values if len(value) == 1]
        return self.text("\n".join(values), f"{where}, pickle") + self._sequences({("keys",): keys}, where)


def _text(data: bytes) -> str:
    """The text that bytes may be; what is not UTF-8 is not lost."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _plain_text(value: object) -> str:
    return _text(value) if isinstance(value, bytes) else str(value)


def _key(value: str) -> str:
    """The key that a value may stand for (10 and 11 are star and pound in RFC 4733), else a gap."""
    if not KEYPAD.fullmatch(value):
        return "|"
    return value if value in "*#" else {10: "*", 11: "#"}.get(int(value), str(int(value)))


def _counter(values: list[str]) -> bool:
    """Whether these only count: 1 2 3 4 5 6 7 8 9 10 is how rows are numbered, and no card."""
    return all(v.isdecimal() for v in values) and all(int(b) - int(a) == 1 for a, b in pairwise(values))


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """The values of a JSON document, with the names that lead to them; places in a list are no names."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, path)
    elif value is not None:
        yield path, str(value)


def _unpacked(data: bytes) -> Iterator[bytes]:
    """What is compressed in it (gzip or zlib), wherever it begins."""
    if data.startswith(b"RIFF"):
        return
    for magic in COMPRESSED:
        start = data.find(magic)
        while start >= 0:
            with suppress(zlib.error, EOFError, gzip.BadGzipFile):
                inner = zlib.decompressobj(47).decompress(data[start:], 1 << 24)
                if inner:
                    yield inner
            start = data.find(magic, start + 1)


def _around(text: str, at: int) -> str:
    return " ".join(text[max(0, at - 60) : at + 60].split())


def unique(findings: Iterable[Finding]) -> list[Finding]:
    """The first finding of each guise in each artefact: a number that is there is there in all its parts."""
    kept: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        kept.setdefault((finding.where, finding.guise), finding)
    return list(kept.values())
