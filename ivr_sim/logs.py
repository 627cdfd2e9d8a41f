"""Logging for the commands: structlog on standard error, with a redactor of card numbers.

Masking types are the first line of defence; the redactor is the second, for what slips past them into
our log, the log of a library (Twisted's too), or the traceback of a crash. It knows a card number by its
length and check digit, so it sees whole numbers only: not a part of one, nor one with a wrong digit.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from functools import cache
from types import TracebackType
from typing import Any

import structlog
from twisted.logger import STDLibLogObserver, globalLogBeginner

from ivr_sim.cards import luhn

__all__ = ["configure", "redact", "redacted"]

# Digits as people and programs write them: in one run, or in groups by spaces, line breaks or hyphens.
RUN = re.compile(r"[0-9](?:[\s\u2010-\u2015-]{0,3}[0-9]){12,}")
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
        text = value if isinstance(value, str) else repr(value)
        hidden = redacted(text)
        if hidden != text:
            event[name] = hidden
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
    _take_twisteds()
    sys.excepthook = _crashed


@cache
def _take_twisteds() -> None:
    """Lead Twisted's log into the standard one; by itself it writes to standard error what goes wrong."""
    observer: Any = STDLibLogObserver()
    globalLogBeginner.beginLoggingTo([observer], discardBuffer=True, redirectStandardIO=False)


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The interpreter's own last words, redacted."""
    print(redacted("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)
