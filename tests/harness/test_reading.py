"""Files that describe calls: read as text, typed by the model, refused with line, place and advice."""

from __future__ import annotations

import pickle
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivr_sim.errors import ConfigurationError
from ivr_sim.harness.reading import BadScenario, Problem, find_cases, read_scenario
from ivr_sim.harness.scenario import HangUp, Hear, Play, Press, Wait
from ivr_sim.harness.table import literal

LABEL = """\
version: 1
number: "5000"
wav: x.wav
recorded_on: 2026-11-23
given: {key: 123456, amount: 200.00, order_id: ord-1, description: no, card: visa-approved}
expect:
  outcome: approved
  entries: {payment_key: 0123, accept: ["3", "1"]}
  prompts: [welcome, amount]
"""
STEPS = """\
version: 1
given: {key: "4321", card: [visa-declined, amex-approved]}
steps:
  - hear: ask_key
    within: 10
  - press: "{key}#"
    by: info
  - wait: 1.5
  - hear: amount
    with: {amount: "{amount}"}
    for: 0.5
  - press: "{card_number}*{card_number_2}{expiry}{cvv_2}"
  - play: x.wav
  - hang_up
expect: {outcome: abandoned}
"""
ROWS = """\
version: 1
parameters: {answer: "1", outcome: approved}
table:
  - {name: cheap, amount: "1.00"}
  - {amount: "999999.99", answer: "2", outcome: rejected}
  - {card: [visa-declined, visa-lost], outcome: declined}
steps:
  - hear: ask_key
  - press: "{key}#"
  - hear: ask_accept
  - press: "{answer}"
expect: {outcome: "{outcome}"}
"""


@pytest.fixture
def write(tmp_path):
    """Writes x.call.yaml, beside a file that may be a recording."""
    (tmp_path / "x.wav").write_bytes(b"RIFF")

    def write(text: str | bytes, name: str = "x.call.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def told(path: Path) -> list[str]:
    """What is said of a bad file, without its folder."""
    with pytest.raises(BadScenario) as wrong:
        read_scenario(path)
    assert isinstance(wrong.value, ConfigurationError)
    return [line.removeprefix(f"{path.parent}/") for line in str(wrong.value).splitlines()]


def test_scalars_are_text_until_the_model_types_them(write):
    [case] = read_scenario(write(LABEL))
    scenario = case.scenario
    assert scenario.recorded_on == date(2026, 11, 23)
    assert (scenario.given.key, scenario.given.amount) == ("123456", Decimal("200.00"))
    assert scenario.given.description == "no"
    assert scenario.expect.entries == {"payment_key": "0123", "accept": ["3", "1"]}
    assert (case.name, case.labelled, case.wav) == ("x", True, case.path.parent / "x.wav")


def test_steps_with_what_is_given_filled_in(write):
    [case] = read_scenario(write(STEPS))
    assert case.scenario.steps == [
        Hear(hear="ask_key", within=10),
        Press(press="4321#", by="info"),
        Wait(wait=1.5),
        Hear(hear="amount", with_={"amount": "200.00"}, for_=0.5),
        Press(press="4222222222222220*34567800000000712401234"),
        Play(play="x.wav"),
        HangUp(),
    ]
    assert case.wav is None


def test_what_a_step_is_called_holds_no_key(write):
    [case] = read_scenario(write(STEPS))
    names = [str(step) for step in case.scenario.steps]
    assert names[:4] == ["hear ask_key", "press 5 keys", "wait 1.5 s", "hear amount"]
    assert "4222222222222220" not in repr(case)
    assert names[4:] == ["press 40 keys", "play x.wav", "hang up"]


def test_a_file_may_be_three_lines_long(write):
    [case] = read_scenario(write("version: 1\ncaller: {profile: fast}\nexpect: {outcome: approved}\n"))
    assert case.scenario.given.cards == ["visa-approved"]
    assert case.scenario.number == "5000"


def test_a_line_speaks_spanish_unless_the_file_says_otherwise(write):
    assert read_scenario(write(LABEL))[0].scenario.language == "es-MX"
    assert read_scenario(write(LABEL + "language: en-US\n"))[0].scenario.language == "en-US"


def test_each_part_knows_its_line(write):
    [case] = read_scenario(write(LABEL))
    assert case.line_of("expect", "outcome") == 7
    assert case.line_of("expect", "entries", "accept") == 8
    assert case.line_of("expect", "requests", "openpay") == 6, "what is not written is where it would be"
    assert case.line_of("faults") == 1


def test_a_case_survives_pickling(write):
    for case in read_scenario(write(ROWS)):
        again = pickle.loads(pickle.dumps(case))
        assert again == case
        assert again.line_of("steps", 1) == case.line_of("steps", 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("version: 1", "version: 2"), "1: version: only version 1 is known, not '2'"),
        (("version: 1\n", ""), "1: version: is missing: write version: 1"),
        (("number", "colour"),
         "2: colour: there is no field 'colour' here; known are version, name, number, language, wav,"
         " recorded_on, given, caller, tone, expect, steps, faults, seed, timeline, parameters, table"),
        (("number", "nubmer"), "2: nubmer: there is no field 'nubmer' here; did you mean number?"),
        (('"5000"', "5 0 0"), "2: number: '5 0 0' holds what cannot stand here; letters, digits and"),
        (("wav: x.wav", "wav: other.wav"), "3: wav: FOLDER/other.wav does not exist"),
        (("wav: x.wav", "wav: X.wav"), "3: wav: FOLDER/X.wav does not exist; did you mean x.wav?"),
        (("wav: x.wav\n", ""),
         "1: nothing says what the caller does: write one of wav, steps and caller.profile"),
        (("wav: x.wav", "wav: x.wav\ncaller: {profile: fast}"),
         "1: wav and caller.profile says what the caller does: write one of wav, steps and caller.profile"),
        (("recorded_on: 2026-11-23\n", ""),
         "1: recorded_on: is missing: a recording needs the day of its call, such as 2026-11-23"),
        (("2026-11-23", "yesterday"), "4: recorded_on: a day is due, such as 2026-11-23, not 'yesterday'"),
        (("key: 123456", "key: 012345"),
         "5: given.key: a payment key has 4 to 12 digits and begins with none of them 0"),
        (("amount: 200.00", "amount: 200.001"),
         "5: given.amount: an amount is more than 0, and has two decimals at the most: 200.00"),
        (("amount: 200.00", "amount: NaN"),
         "5: given.amount: a number is due, not 'NaN'"),
        (("amount: 200.00", "amount: much"), "5: given.amount: a number is due, not 'much'"),
        (("visa-approved", "visa-aproved"),
         "5: given.card: there is no test card 'visa-aproved'; did you mean visa-approved?"),
        (("visa-approved", "4111111111111111"), "5: given.card: there is no test card"),
        (("card: visa-approved", "card: []"), "5: given.card: is empty"),
        (("description: no", "state: payd"),
         "5: given.state: there is no 'payd' here; did you mean paid?"),
        (("given: {", "given: x #"), "5: given: a mapping is due (name: value), not 'x'"),
        (("outcome: approved", "result: approved"),
         "7: expect.result: there is no field 'result' here; known are outcome, cause, entries,"),
        (("outcome: approved", "outcome: aproved"),
         "7: expect.outcome: there is no outcome 'aproved'; did you mean approved?"),
        (("payment_key: 0123", "card_number: 4111"),
         "8: expect.entries: card_number is secret and never written down; name the card in given.card"),
        (("payment_key", "payment_kye"),
         "8: expect.entries: there is no entry 'payment_kye'; did you mean payment_key?"),
        (("payment_key: 0123", "payment_key: {a: b}"), "8: expect.entries.payment_key: a text is due"),
        (("[welcome, amount]", "[welcome, amuont]"),
         "9: expect.prompts[1]: there is no prompt 'amuont'; did you mean amount?"),
        (("[welcome, amount]", "welcome"), "9: expect.prompts: a list is due: [welcome]"),
        (("[welcome, amount]", "[]\n  journal: [{event: EntryRefusd}]"),
         "10: expect.journal: there is no event 'EntryRefusd'; did you mean EntryRefused?"),
        (("[welcome, amount]", "[]\n  journal: [{event: EntryRefused, filed: cvv}]"),
         "10: expect.journal: there is no field of EntryRefused 'filed'; did you mean field?"),
        (("[welcome, amount]", "[]\n  journal: [{field: cvv}]"), "10: expect.journal: item 1 needs the name"),
        (("[welcome, amount]", "[]\n  requests: {openpya: 1}"),
         "10: expect.requests.openpya: there is no field 'openpya' here; did you mean openpay?"),
        (("[welcome, amount]", "[]\n  barge_in_ms: soon"), "10: expect.barge_in_ms: a number is due"),
        (("[welcome, amount]", "[]\n  charges: -1"), "10: expect.charges: must be greater"),
        (("number:", "timeline: [[2, welcome], [1, amount]]\nnumber:"),
         "2: timeline[1]: 1 comes after 2: prompts stand in the order they began"),
        (("number:", "timeline: [[2, welcom], [3, amount]]\nnumber:"),
         "2: timeline[0][1]: there is no prompt 'welcom'; did you mean welcome?"),
        (("number:", "timeline: [[soon, welcome], [3, amount, 4]]\nnumber:"),
         "2: timeline[0][0]: a number is due, not 'soon'"),
        (("number:", "timeline: [[2], [3, amount]]\nnumber:"), "2: timeline[0]: a prompt is [when"),
        (("number:", "faults: {authoriser: down}\nnumber:"),
         "2: faults.authoriser: there is no field 'authoriser' here; did you mean authorizer?"),
        (("number:", "tone: {noise_dbm0: -40, snr_db: 20}\nnumber:"),
         "2: tone: noise_dbm0 and snr_db say the same: write one of them"),
        (("number:", "language: no\nnumber:"), "2: language: no prompts in 'no': known are en-US, es-MX"),
        (("number:", "number: 5001\nnumber:"), "3: number: written twice, first in line 2"),
        (("number:", "given: &g {}\ncaller: *g\nnumber:"), "3: caller: aliases (*name) are not read here"),
        (("version: 1", "version: [1"), "2: not YAML: did not find expected"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line_and_what_to_write_instead(write, change, said):
    path = write(LABEL.replace(*change, 1))
    first = told(path)[0].replace(str(path.parent), "FOLDER")
    assert first.startswith(f"x.call.yaml:{said}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("hear: ask_key", "heer: ask_key"), "4: steps[0]: there is no step 'heer'; did you mean hear?"),
        (("hear: ask_key", "hear: ask_kee"),
         "4: steps[0].hear: there is no prompt 'ask_kee'; did you mean ask_key?"),
        (("within: 10", "withn: 10"), "5: steps[0].withn: there is no field 'withn' here; did you"),
        (("within: 10", "within: -1"), "5: steps[0].within: must be greater than 0, not '-1'"),
        (("within: 10", "press: 1"), "4: steps[0]: hear and press are steps of their own: write each"),
        (('press: "{key}#"', "press: {key}#"), "6: steps[1].press: a text is due, not a mapping; in quotes"),
        (('"{key}#"', "'12a'"), "6: steps[1].press: keys are 0-9, *, #, A-D, in quotes"),
        (('"{key}#"', "4111111111111112"), "14: "),
        (('"{key}#"', "4000056655665556#"), "6: steps[1].press: the number of a card that is no test card"),
        (("by: info", "by: sms"), "7: steps[1].by: there is no 'sms' here; known are rfc4733, info, inband"),
        (("wait: 1.5", "wait: long"), "8: steps[2].wait: a number is due, not 'long'"),
        (('amount: "{amount}"', 'amuont: "1"'),
         "9: steps[3]: there is no parameter of amount 'amuont'; did you mean amount?"),
        (('"{amount}"', '"{amuont}"'), "10: steps[3].with.amount: no value for {amuont}; did you mean"),
        (('"{amount}"', '"{wages}"'), "10: steps[3].with.amount: no value for {wages}; write it"),
        (('"{amount}"', '"{card_number}"'), "10: steps[3].with.amount: {card_number} may only be pressed"),
        (("cvv_2", "cvv_3"), "12: steps[4].press: {cvv_3} may only be pressed, and only of"),
        (("play: x.wav", "play: y.wav"), "13: steps[5].play: FOLDER/y.wav does not exist"),
        (("- hang_up", "- hangup"), "14: steps[6]: there is no step 'hangup'; did you mean hang_up?"),
        (("{outcome: abandoned}", "{}"), "15: expect: nothing is expected, so that nothing can fail"),
        (("steps:\n", "caller: {at: amount}\nsteps:\n"),
         "3: caller: at belongs to the profiles silent and hangs_up"),
        (("steps:\n", "parameters: {x: 1}\nsteps:\n"), "3: parameters.x: is used nowhere; write {x} where"),
        (("steps:\n", "parameters: {amount: 1}\nsteps:\n"), "3: parameters.amount: amount belongs under"),
        (("steps:\n", "parameters: {cvv: 1}\nsteps:\n"), "3: parameters.cvv: 'cvv' cannot be the name of a"),
        (("steps:\n", "timeline: [[0, welcome]]\nsteps:\n"), "3: timeline: belongs to a recording (wav)"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_steps(write, change, said):
    path = write(STEPS.replace(*change, 1))
    if said == "14: ":  # a wrong number is no card's: it is there to be refused
        assert len(read_scenario(path)) == 1
        return
    first = told(path)[0].replace(str(path.parent), "FOLDER")
    assert first.startswith(f"x.call.yaml:{said}")


def test_all_that_is_wrong_with_a_file_is_told_at_once(write):
    text = LABEL.replace("123456", "1").replace("approved\n", "aproved\n").replace("wav: x", "wav: y")
    assert [line.split(": ")[:2] for line in told(write(text))] == [
        ["x.call.yaml:5", "given.key"],
        ["x.call.yaml:7", "expect.outcome"],
    ]


def test_a_digit_of_a_card_is_in_no_error(write):
    said = told(
        write(LABEL.replace("key: 123456", "key: 4000056655665556").replace("5000", "40000566 55665556"))
    )
    assert said
    assert "5665566" not in str(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "x.call.yaml:1: empty"),
        (b"\xff\xfe\x00", "x.call.yaml: is no text in UTF-8"),
        (b"just text", "x.call.yaml:1: no mapping"),
        (b"- a\n- b\n", "x.call.yaml:1: no mapping"),
        (b"x" * 300_000, "x.call.yaml: larger than 256 KiB"),
        (b"[" * 60_000, "x.call.yaml:1: [0][0][0]: nested deeper than 12 levels"),
        (b"- " * 60_000, "x.call.yaml:1: [0][0][0]: nested deeper than 12 levels"),
        (b"? [a]\n: b\n", "x.call.yaml:1: a name is due before the colon"),
        (b"a: 1\n---\nb: 1\n", "x.call.yaml:2: a second document begins here"),
        (b"a: '\n", "x.call.yaml:2: not YAML"),
        (b"a: \x07\n", "x.call.yaml: not YAML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "x.call.yaml:1: a Git LFS pointer, not the file"),
    ],
)
def test_what_is_no_description_of_a_call_at_all(write, text, said):
    assert told(write(text))[0].startswith(said)


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_scenario(tmp_path / "none.call.yaml")


PIECES = (
    *"{}[]'\"#|é", ": ", "- ", "\n", "\n  ", "{key}", "{{", "&a ", "*a", "!!x ", "null", "NaN", "-1", "1e999",
    "9" * 40, "steps: ", "table: ", "wav: ", "given: ", "card: ",
)  # fmt: skip


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([LABEL, STEPS, ROWS]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(PIECES)), min_size=1, max_size=3),
)
def test_whatever_is_written_is_read_or_refused_with_a_line(write, text, changes):
    for where, length, piece in changes:
        at = round(where * len(text))
        text = text[:at] + piece + text[at + length :]
    problems: tuple[Problem, ...] = ()
    try:
        cases = read_scenario(write(text))
    except BadScenario as bad:
        cases, problems = [], bad.problems
    assert bool(cases) != bool(problems)
    assert all(problem.what and (problem.line or 1) >= 1 for problem in problems)


# Tables ---------------------------------------------------------------------------------------------


def test_each_row_is_a_call(write):
    cases = read_scenario(write(ROWS))
    assert [case.name for case in cases] == ["x[cheap]", "x[2]", "x[3]"]
    assert [str(case.scenario.given.amount) for case in cases] == ["1.00", "999999.99", "200.00"]
    assert [case.scenario.steps[3].press for case in cases] == ["1", "2", "1"]
    assert [case.scenario.expect.outcome for case in cases] == ["approved", "rejected", "declined"]
    assert cases[2].scenario.given.cards == ["visa-declined", "visa-lost"]


def test_rows_may_lie_in_a_csv_beside_the_file(write):
    write("name,amount,answer,outcome\ncheap,1.00,,\n\n dear ,999999.99,2,rejected\n", "rows.csv")
    start, rest = ROWS.split("table:")[0], ROWS[ROWS.index("steps:") :]
    cases = read_scenario(write(f"{start}table: rows.csv\n{rest}"))
    assert [case.name for case in cases] == ["x[cheap]", "x[dear]"]
    assert [case.scenario.expect.outcome for case in cases] == ["approved", "rejected"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("name,amount\n", "rows.csv:1: no rows"),
        ("", "rows.csv:1: no rows"),
        ("amount,amount\n1,2\n", "rows.csv:1: every column needs a name of its own"),
        ("amount,answer\n1\n", "rows.csv:2: 1 cells under 2 columns (amount, answer)"),
        (
            "name,amuont\na,1\n",
            "rows.csv:2: table: the column 'amuont' is used nowhere; did you mean amount?",
        ),
        ("name,colour\na,red\n", "rows.csv:2: table: the column 'colour' is used nowhere; write {colour}"),
        ("name,cvv\na,123\n", "rows.csv:2: table: 'cvv' is no column: a card is given by its name (card)"),
        ("name,amount\na,1\nb,2\na,3\n", "rows.csv:4: table: a second row a; the first is in line 2"),
        ("name,amount\na,1\nb,free\n", "rows.csv:3: given.amount: a number is due, not 'free' (row b)"),
        ("name,answer\na,1\nb,x\n", "x.call.yaml:8: steps[3].press: keys are 0-9, *, #, A-D"),
        ('amount\n"1\n', "rows.csv:2: no CSV: "),
    ],
)
def test_what_is_wrong_with_a_csv(write, rows, said):
    write(rows, "rows.csv")
    start, rest = ROWS.split("table:")[0], ROWS[ROWS.index("steps:") :]
    assert told(write(f"{start}table: rows.csv\n{rest}"))[0].startswith(said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("{name: cheap, ", "{name: [cheap], "), "4: table[0].name: a text is due, not a list"),
        (("{name: cheap, ", "{amuont: 1, "), "4: table: the column 'amuont' is used nowhere; did you mean a"),
        (("{name: cheap, ", "{name: 2, "), "5: table: a second row 2; the first is in line 4"),
        (("- {name: cheap", "- cheap #"), "4: table[0]: a mapping of columns is due, not 'cheap'"),
        (("amount: \"1.00\"", "amount: free"), "4: given.amount: a number is due, not 'free' (row cheap)"),
        (('answer: "1", ', ""), "11: steps[3].press: no value for {answer}"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_rows(write, change, said):
    text = ROWS.replace(*change, 1)
    assert told(write(text))[0].startswith(f"x.call.yaml:{said}")


def test_what_is_wrong_with_several_rows_is_told_once(write):
    every = told(write(ROWS.replace("hear: ask_key", "hear: ask_kee")))
    assert every == ["x.call.yaml:8: steps[0].hear: there is no prompt 'ask_kee'; did you mean ask_key?"]
    one = told(write(ROWS.replace("outcome: rejected", "outcome: reject")))
    assert one == [
        "x.call.yaml:12: expect.outcome: there is no outcome 'reject'; did you mean rejected? (row 2)"
    ]
    two = told(write(ROWS.replace("approved}", "approve}").replace("rejected}", "approve}")))
    assert two[0].endswith("there is no outcome 'approve'; did you mean approved? (row cheap and 1 more)")


def test_a_table_that_is_none(write):
    text = "version: 1\ntable: []\ncaller: {profile: fast}\nexpect: {outcome: approved}\n"
    assert told(write(text)) == [
        "x.call.yaml:2: table: rows are due, as a list of mappings or the name of a CSV file"
    ]
    with pytest.raises(BadScenario, match="cannot be read: No such file"):
        read_scenario(write(text.replace("[]", "none.csv")))


def test_braces_are_written_twice(write):
    text = LABEL.replace("description: no", 'description: "{{x}} {key}"')
    assert told(write(text))[0].startswith("x.call.yaml:5: given.description: no value for {key}")
    [case] = read_scenario(write(text.replace(" {key}", "")))
    assert case.scenario.given.description == "{x}"


@pytest.mark.parametrize("text", ["{x}", "{{x}}", "}{", "plain", "{", "{key}#"])
def test_what_is_written_literally_is_read_as_it_is(write, text):
    label = LABEL.replace("description: no", f"description: '{literal(text)}'")
    assert read_scenario(write(label))[0].scenario.given.description == text


# Files and folders ----------------------------------------------------------------------------------

FAST = "version: 1\ncaller: {profile: fast}\nexpect: {outcome: approved}\n"


def names(*paths: Path, **options) -> list[str]:
    return [case.name for case in find_cases(paths, **options)]


def test_a_folder_stands_for_all_its_calls_in_order(write, tmp_path):
    write(FAST, "b.call.yaml")
    write(LABEL)
    write(FAST, "deeper/a.call.yaml")
    assert names(tmp_path) == ["b", "deeper/a", "x"]
    assert names(tmp_path / "x.wav", tmp_path / "x.call.yaml", tmp_path) == ["x", "b", "deeper/a"]
    assert names(tmp_path / "deeper") == ["a"]


def test_a_recording_that_another_file_plays_needs_no_label(write, tmp_path):
    write(STEPS, "y.call.yaml")
    assert names(tmp_path) == ["y"]


def test_a_recording_without_a_label(write, tmp_path):
    write(FAST, "y.call.yaml")
    with pytest.raises(BadScenario, match=r"x\.wav: no label beside it; write x\.call\.yaml") as bad:
        find_cases([tmp_path])
    assert [case.name for case in bad.value.cases] == ["y"], "the others can be held"
    found = find_cases([tmp_path], allow_unlabelled=True)
    assert [(case.name, case.labelled, case.wav) for case in found] == [
        ("x", False, tmp_path / "x.wav"), ("y", True, None),
    ]  # fmt: skip


def test_every_file_that_is_wrong_is_told(write, tmp_path):
    write(FAST.replace("fast", "faster"), "a.call.yaml")
    write(FAST, "b.call.yaml")
    write(LABEL.replace("x.wav", "c.wav"), "c.call.yaml")
    write(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "d.wav")
    write(LABEL.replace("x.wav", "d.wav"), "d.call.yaml")
    write(LABEL)
    with pytest.raises(BadScenario) as bad:
        find_cases([tmp_path, tmp_path / "none", tmp_path / "x.txt"])
    assert [(p.path.name, p.line, p.place) for p in bad.value.problems] == [
        ("a.call.yaml", 2, "caller.profile"),
        ("c.call.yaml", 3, "wav"),
        ("d.call.yaml", 3, "wav"),
        ("none", None, ""),
        ("x.txt", None, ""),
    ]
    assert "d.wav: a Git LFS pointer, not the recording itself: run git lfs pull" in str(bad.value)
    assert [case.name for case in bad.value.cases] == ["b", "x"]


def test_an_empty_folder_and_what_is_no_call(tmp_path):
    with pytest.raises(BadScenario, match=r"no calls in this folder: neither \*\.call\.yaml nor \*\.wav"):
        find_cases([tmp_path])
    (tmp_path / "x.call.yml").write_text(FAST)
    with pytest.raises(BadScenario, match="neither a recording"):
        find_cases([tmp_path / "x.call.yml"])


def test_calls_of_several_folders_are_named_by_them(write):
    one, two = write(FAST, "one/a.call.yaml"), write(FAST, "two/a.call.yaml")
    assert names(one.parent, two.parent) == ["one/a", "two/a"]


def test_two_calls_of_one_name(write):
    one, two = write(FAST, "one/a.call.yaml"), write(FAST + "name: a\n", "two/b.call.yaml")
    with pytest.raises(BadScenario, match=r"b\.call\.yaml:4: a second call named a; the first is in .*one/a"):
        find_cases([one, two])
    assert names(one.parent, two.parent) == ["one/a", "two/a"]
