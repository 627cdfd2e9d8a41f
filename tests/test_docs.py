"""What the pages for people list is what there is."""

from __future__ import annotations

import re
from pathlib import Path

from ivr_sim.diagnosis import FINDINGS
from ivr_sim.openpay import TEST_CARDS
from ivr_sim.standing import STANDING

ROOT = Path(__file__).parent.parent
QA = (ROOT / "docs" / "qa.md").read_text(encoding="utf-8")


def test_every_finding_is_on_the_page_and_none_that_is_not():
    section = QA[QA.index("## What serve says") : QA.index("## Settings")]
    assert set(re.findall(r"`([a-z_]+)`", section)) - {"serve", "note"} == set(FINDINGS)


def test_every_standing_key_is_on_the_page():
    assert {standing.key for standing in STANDING} <= set(re.findall(r"\b1[07]0\d{3}\b", QA))


def test_every_documented_test_card_is_on_the_page():
    digits = QA.replace(" ", "")
    assert [card.number for card in TEST_CARDS if not card.ours and card.number not in digits] == []


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
