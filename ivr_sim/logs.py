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
RUN = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")


def redacted(text: str) -> str:
    """The text with every run of 13 to 19 digits that passes Luhn replaced."""

    def mask(match: re.Match[str]) -> str:
        return "[card number]" if luhn(re.sub(r"[ -]", "", match.group())) else match.group()

    return RUN.sub(mask, text)


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
