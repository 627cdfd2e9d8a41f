"""Logging for the commands: structlog on standard error, with a redactor of card numbers.

Masking types are the first line of defence; the redactor is the second, for what slips past them.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from ivr_sim.cards import luhn

__all__ = ["configure", "redact", "redacted"]

# Digits as people and programs write them: in one run, or in groups by spaces or hyphens.
RUN = re.compile(r"[0-9](?:[ -]?[0-9]){12,}")
GROUP = re.compile(r"[0-9]+")
LENGTHS = range(13, 20)


def redacted(text: str) -> str:
    """The text with every number of 13 to 19 digits that passes Luhn replaced.

    A number is one group of digits or several; a group before or behind it does not hide it.
    """
    return RUN.sub(lambda match: _masked(match.group()), text)


def _masked(run: str) -> str:
    groups = list(GROUP.finditer(run))
    kept, done, first = [], 0, 0
    while first < len(groups):
        for last in reversed(range(first, min(len(groups), first + LENGTHS[-1]))):
            digits = "".join(group.group() for group in groups[first : last + 1])
            if len(digits) in LENGTHS and luhn(digits):
                kept += [run[done : groups[first].start()], "[card number]"]
                done, first = groups[last].end(), last
                break
        first += 1
    return "".join(kept) + run[done:]


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: no value of the event holds a card number."""
    for name, value in event.items():
        if isinstance(value, int) and not isinstance(value, bool):
            hidden = redacted(str(value))
            event[name] = value if hidden == str(value) else hidden
        elif value is not None and not isinstance(value, bool | float):
            event[name] = redacted(value if isinstance(value, str) else repr(value))
    return event


class _Handler(logging.StreamHandler[Any]):
    """The same redactor for libraries that log by the standard way."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def configure(level: str = "WARNING") -> None:
    """Send our log and the libraries' to standard error, from ``level`` up."""
    number = logging.getLevelNamesMapping()[level]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            redact,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=number, force=True)
