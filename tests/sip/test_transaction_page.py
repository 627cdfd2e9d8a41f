"""docs/transactions.md against the tables that it is drawn from.

``python -m tests.sip.test_transaction_page`` (make docs) writes the page anew.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from ivr_sim.sip.transaction import LINGERING, REPEATING, TABLES, Row

PAGE = Path(__file__).parents[2] / "docs" / "transactions.md"
HEAD = """# Transactions

Each request with all its copies and answers is a machine that goes by a table (`ivr_sim/sip/transaction.py`):
RFC 3261 section 17, with INVITE as mended by RFC 6026. Exchange and phone share the tables. These diagrams
are drawn from them by `make docs`.

An arrow says: *what happens* / what is done, +X: timer X is set, -X: it is stopped. What has no arrow is
absorbed.

| what is done | |
|---|---|
| send | the request, or the last answer, (again) |
| ack | this 3xx-6xx is acknowledged |
| pass | this message is for the user |
| timeout | the user is told that nobody answered, or acknowledged |
| fail | the user gets a 503: the request cannot be delivered |
"""
TIMERS = """## Timers

Units are T1 = 0.5 s, T2 = 4 s, T4 = 5 s, all arguments. `error` is the transport's: a connection that could
not be had, or was lost before anything was heard.

| timers | over UDP | over TCP, TLS |
|---|---|---|
| {repeating} | T1, doubling, {capped} never more than T2 | not set: nothing is lost |
| {lingering} | T4 (I, K) or 64*T1: copies may still come | none: over at once |
| {others} | 64*T1 | 64*T1 |
"""


def arrow(event: str, row: Row) -> str:
    what = [*row.do, *(f"+{timer}" for timer in row.start), *(f"-{timer}" for timer in row.stop)]
    return f"{event} / {' '.join(what)}" if what else event


def page() -> str:
    """The page as the tables are now."""
    parts = [HEAD]
    timers: set[str] = set()
    for kind, table in TABLES.items():
        arrows = defaultdict(list)
        for (state, event), row in table.items():
            arrows[state, row.state].append(arrow(event, row))
            timers |= {*row.start}
        lines = ["stateDiagram-v2"]
        for (state, follows), texts in arrows.items():
            source = "[*]" if state == "initial" else state
            target = "[*]" if follows == "terminated" else follows
            lines += [f"    {source} --> {target}: {text}" for text in texts]
        parts += [f"## {kind[0].upper()}{kind[1:]}\n", "```mermaid", *lines, "```\n"]
    groups = {"repeating": REPEATING, "lingering": LINGERING, "others": timers - REPEATING - LINGERING}
    named = {name: ", ".join(sorted(group)) for name, group in groups.items()}
    parts.append(TIMERS.format(capped="E and G", **named).rstrip())
    return "\n".join(parts) + "\n"


def test_the_page_is_what_the_tables_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "`make docs` writes it anew"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
