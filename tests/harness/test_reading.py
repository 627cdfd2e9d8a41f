"""Labels: read as text, typed by the model, refused with a sentence."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from ivr_sim.errors import ConfigurationError
from ivr_sim.harness.reading import read_scenario

GOOD = """\
version: 1
number: "5000"
wav: approved.wav
recorded_on: 2026-11-23
given: {key: 123456, amount: 200.00, order_id: ord-1, description: no, card: visa-approved}
expect: {outcome: approved, entries: {payment_key: 0123, accept: ["3", "1"]}, prompts: [welcome, amount]}
"""


def write(tmp_path, text: str | bytes):
    path = tmp_path / "x.call.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_scalars_are_text_until_the_model_types_them(tmp_path):
    label = read_scenario(write(tmp_path, GOOD))[0].scenario
    assert label.recorded_on == date(2026, 11, 23)
    assert (label.given.key, label.given.amount) == ("123456", Decimal("200.00"))
    assert label.given.description == "no"
    assert label.expect.entries == {"payment_key": "0123", "accept": ["3", "1"]}


def test_a_line_speaks_spanish_unless_the_label_says_otherwise(tmp_path):
    assert read_scenario(write(tmp_path, GOOD))[0].scenario.language == "es-MX"
    assert read_scenario(write(tmp_path, GOOD + "language: en-US\n"))[0].scenario.language == "en-US"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("version: 1", "version: 2"), "version"),
        (("version: 1", "version: 1\nlanguage: no"), "language"),
        (("version: 1", "version: 1\nlanguage: fr-FR"), "known are en-US, es-MX"),
        (("outcome: approved", "result: approved"), "expect.result"),
        (("key: 123456", "key: 012345"), "given.key"),
        (("amount: 200.00", "amount: 200.001"), "given.amount"),
        (("amount: 200.00", "amount: NaN"), "given.amount"),
        (("2026-11-23", "yesterday"), "recorded_on"),
        (("payment_key: 0123", "card_number: 4111"), "secret"),
        (("version: 1", "version: [1"), "not YAML"),
        (("number", "colour"), "colour"),
    ],
)
def test_wrong_labels_say_where_and_what(tmp_path, change, said):
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(ConfigurationError) as wrong:
        read_scenario(path)
    assert str(path) in str(wrong.value)
    assert said in str(wrong.value)


@pytest.mark.parametrize("text", [b"", b"\xff\xfe\x00", b"just text", b"- a\n- b\n", b"x" * 70_000])
def test_what_is_no_label_at_all(tmp_path, text):
    with pytest.raises(ConfigurationError, match=r"x\.call\.yaml"):
        read_scenario(write(tmp_path, text))


def test_a_missing_label(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_scenario(tmp_path / "none.call.yaml")
