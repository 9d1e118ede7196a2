from __future__ import annotations

import pytest
from reverie.benchmarks.bench.record import summary
from reverie.benchmarks.tables import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0000035, "0.0035 ms"),
        (0.00058, "0.58 ms"),
        (0.0042, "4.2 ms"),
        (0.002, "2.0 ms"),
        (0.086, "86 ms"),
        (0.519, "0.52 s"),
        (9.6999, "9.7 s"),
        (186.48, "186 s"),
        (1234.5, "1,234 s"),
        (None, "-"),
    ],
)
def test_seconds_have_as_many_digits_as_they_deserve(value: float | None, text: str) -> None:
    assert wording.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (236_000, "236 kB"),
        (24_821_196, "24.8 MB"),
        (585_420_126, "585 MB"),
        (999_900_000, "1.00 GB"),
        (None, "-"),
    ],
)
def test_sizes_are_in_powers_of_ten(value: float | None, text: str) -> None:
    assert wording.size(value) == text


def test_ratios_and_shares() -> None:
    assert wording.ratio(1.0309) == "1.03x"
    assert wording.ratio(24.2) == "24x"
    assert wording.percent(0.734) == "73%"
    assert wording.percent(-0.0779, signed=True, digits=1) == "-7.8%"
    assert wording.small(5.614e-05) == "5.6e-5"


def test_a_spread_says_how_wide_it_is() -> None:
    assert wording.spread(summary([9.0, 9.4, 12.0])) == "9.4 s (9.0 to 11.7 s)"
    assert wording.spread(summary([9.0, 9.0, 9.0])) == "9.0 s"
    assert wording.spread(summary([9.0])) == "9.0 s (once)"
    assert wording.spread(summary([0.09, 0.2]), wording.seconds) == "0.14 s (90 ms to 0.19 s)"
    assert wording.spread(None) == "-"


def test_a_row_of_another_length_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="2 heads"):
        wording.Table(("a", "b"), (("1",),))


def test_no_cell_ends_its_table() -> None:
    table = wording.Table(("a",), (("x | y\n<!-- end table -->",),))
    assert table.markdown().splitlines()[2:] == ["| x / y &lt;!-- end table --> |"]


def test_where_the_word_for_predictions_must_stand() -> None:
    rows = (("1 s predicted",), ("2 s",))
    assert not wording.Table(("seconds",), rows).says_predicted()
    assert wording.Table(("seconds",), rows[:1]).says_predicted()
    assert wording.Table(("predicted",), rows).says_predicted()


MACHINE = {
    "processor": "A chip",
    "cores": 2,
    "memory_bytes": 25_276_510_208,
    "python": "3.11.7",
    "packages": {"onnxruntime": "1.31.1", "reverie": "0.1.0"},
}


def test_hardware_and_versions_are_told() -> None:
    told = wording.source_lines({"a": {"machine": MACHINE}}, {"a": "r/a.json"}, ("Noted",))
    assert told == (
        "<sub>Noted. A chip, 2 cores, 25 GB of memory; Python 3.11.7, ONNX Runtime 1.31.1;"
        " raw: [a](r/a.json).</sub>"
    )


def test_other_machines_and_versions_are_said_to_be_others() -> None:
    newer = {**MACHINE, "packages": {"onnxruntime": "1.32.0", "reverie": "0.1.0"}}
    reports = {"a": {"machine": MACHINE}, "b": {"machine": newer}, "c": {"machine": MACHINE}}
    told = wording.source_lines(reports, {name: f"{name}.json" for name in reports})
    assert "different machines or versions" in told
    assert "[a](a.json), [c](c.json) on A chip" in told
    assert (
        "[b](b.json) on A chip, 2 cores, 25 GB of memory; Python 3.11.7, ONNX Runtime 1.32.0"
        in told
    )


def test_more_packages_named_are_no_other_machine() -> None:
    more = {**MACHINE, "packages": {**MACHINE["packages"], "numpy": "2.4.6"}}  # type: ignore[dict-item]
    assert wording.same_machine(MACHINE, more)
    assert not wording.same_machine(MACHINE, {**more, "cores": 4})
    assert not wording.same_machine(MACHINE, None)


def test_an_unknown_machine_is_said_to_be_one() -> None:
    assert "machine not recorded" in wording.source_lines({"a": {}}, {"a": "a.json"})
