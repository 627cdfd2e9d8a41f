"""The texts of findings: whole, plain, and with nothing in them that must not be told."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from ivr_sim.diagnosis.findings import FINDINGS, LONGEST, finding


@pytest.mark.parametrize("code", FINDINGS)
def test_every_text_is_whole(code: str) -> None:
    what, advice = FINDINGS[code]
    assert re.fullmatch(r"[a-z][a-z_]+", code)
    facts = {name for text in (what, advice) for _, name, _, _ in Formatter().parse(text) if name}
    said = finding(code, **{fact: f"<{fact}>" for fact in facts})
    for text, template in ((said.what, what), (said.advice, advice)):
        assert text.endswith(".")
        assert "  " not in text
        assert not re.search(r"[{}]", text)
        assert all(f"<{name}>" in text for _, name, _, _ in Formatter().parse(template) if name)


def test_what_others_send_is_shown_short_and_printable() -> None:
    facts = {"host": "192.0.2.9", "deed": "call", "accounts": "1001"}
    said = finding("unknown_user", user="\x1b[2J" + "x" * 500, **facts)
    assert said.what.isprintable()
    assert len(said.what) < LONGEST + 100


def test_a_card_number_typed_where_a_name_belongs_is_hidden() -> None:
    said = finding("nobody_there", user="1001", number="4111111111111111")
    assert "411111" not in said.what + said.advice
