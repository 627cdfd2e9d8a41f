"""The header fields of a message, in order and as they were sent (RFC 3261 section 7.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from ivr_sim.errors import LocalProtocolError
from ivr_sim.sip.grammar import REMEMBERED, TOKEN, BadMessage, split_list

__all__ = ["Headers"]

# Compact forms: RFC 3261 section 20 and the IANA registry of SIP header fields.
COMPACT = {
    "a": "accept-contact", "b": "referred-by", "c": "content-type", "d": "request-disposition",
    "e": "content-encoding", "f": "from", "i": "call-id", "j": "reject-contact", "k": "supported",
    "l": "content-length", "m": "contact", "n": "identity-info", "o": "event", "r": "refer-to",
    "s": "subject", "t": "to", "u": "allow-events", "v": "via", "x": "session-expires", "y": "identity",
}  # fmt: skip
# Fields whose values may share a line, parted by commas (RFC 3261 section 7.3.1).
LISTS = frozenset({
    "accept", "accept-encoding", "accept-language", "alert-info", "allow", "allow-events", "call-info",
    "contact", "content-encoding", "content-language", "error-info", "in-reply-to", "path",
    "proxy-require", "record-route", "require", "route", "service-route", "supported", "unsupported",
    "via", "warning",
})  # fmt: skip


def _key(name: str) -> str:
    lower = name.lower()
    return COMPACT.get(lower, lower)


class Headers:
    """An ordered list of header fields; names match in any case, and in compact or long form.

    A field keeps its name and text as they came. Comma lists are taken apart only when asked for, by
    ``get`` and ``get_all``; the line itself stays as it is.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = [_field(name, value) for name, value in fields]

    def get(self, name: str) -> str | None:
        """The first value of a field (of a comma list its first element), None if there is none."""
        values = self.get_all(name)
        return values[0] if values else None

    def get_all(self, name: str) -> list[str]:
        """All values of a field in order, comma lists taken apart; one that cannot be is one value."""
        key = _key(name)
        lines = [value for at, _, value in self._fields if at == key]
        if key not in LISTS:
            return lines
        return [value for line in lines if line for value in _values(line)]

    def add(self, name: str, value: str) -> None:
        """Append a line."""
        self._fields.append(_field(name, value))

    def prepend(self, name: str, value: str) -> None:
        """Put a line before all others of its name: how a proxy adds Via and Record-Route."""
        entry = _field(name, value)
        at = next((i for i, field in enumerate(self._fields) if field[0] == entry[0]), 0)
        self._fields.insert(at, entry)

    def set(self, name: str, value: str) -> None:
        """Replace all lines of a name by one, in the place of the first."""
        entry = _field(name, value)
        at = next((i for i, field in enumerate(self._fields) if field[0] == entry[0]), len(self._fields))
        self._fields[at:] = [entry, *(field for field in self._fields[at:] if field[0] != entry[0])]

    def remove(self, name: str) -> None:
        """Remove all lines of a name, if there are any."""
        key = _key(name)
        self._fields = [field for field in self._fields if field[0] != key]

    def pop_first(self, name: str) -> str | None:
        """Take away the first value of a field and return it; the rest of its comma list stays."""
        return self._replace_first(name, None)

    def replace_first(self, name: str, value: str) -> None:
        """Replace the first value of a field; the rest of its comma list stays."""
        if self._replace_first(name, value) is None:
            self.add(name, value)

    def _replace_first(self, name: str, new: str | None) -> str | None:
        key = _key(name)
        for i, (at, sent, line) in enumerate(self._fields):
            if at != key or (key in LISTS and not line):
                continue  # an empty list has no first value, as in get_all
            first, *rest = _values(line) if key in LISTS else [line]
            values = ([] if new is None else [new]) + rest
            self._fields[i : i + 1] = [_field(sent, ", ".join(values))] if values else []
            return first
        return None

    def copy(self) -> Headers:
        """Another list with the same fields."""
        other = Headers()
        other._fields = list(self._fields)
        return other

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(at == _key(name) for at, _, _ in self._fields)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """The lines in order: the name as it was sent, and the whole value."""
        return ((name, value) for _, name, value in self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return [(at, value) for at, _, value in self._fields] == [(at, v) for at, _, v in other._fields]

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Headers({list(self)!r})"


@lru_cache(maxsize=REMEMBERED)
def _values(line: str) -> tuple[str, ...]:
    """The values of a list; what is none is one value, for its reader to refuse or to leave alone."""
    try:
        return tuple(split_list(line))
    except BadMessage:
        return (line,)


def _field(name: str, value: str) -> tuple[str, str, str]:
    """A field with its key; a line break in it would smuggle in another header."""
    if not TOKEN.fullmatch(name) or "\r" in value or "\n" in value:
        raise LocalProtocolError(f"not a header field: {name!r}: {value!r}")
    return _key(name), name, value.strip(" \t")
