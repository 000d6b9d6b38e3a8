"""Every case made by the official tools, through the product's own functions."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.vectors import mixin

FILE = Path(__file__).parents[2] / "vectors" / "mixin.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def test_every_case_passes_that_is_not_a_defect_of_its_tool(document: dict[str, Any]) -> None:
    result = mixin.run(document)
    defects = sum(mixin.is_defect(case) for case in document["vectors"])
    assert result.failures == []
    assert (result.passed, result.skipped) == (len(document["vectors"]) - defects, defects)


def test_a_wrong_expectation_is_noticed_in_every_kind_of_case(document: dict[str, Any]) -> None:
    """No expected value stands in the runner: what a case expects decides whether it passes."""
    fooled = []
    for case in document["vectors"]:
        if mixin.is_defect(case) or case["category"] in {"wire", "blaze", "message"}:
            continue  # their outputs hold what went in
        spoilt = copy.deepcopy(case)
        spoilt["output"] = {name: _other(value) for name, value in case["output"].items()}
        if case["output"].keys() == {"error"}:
            spoilt["output"] = {"change": "0"}  # which words a refusal has is free
        result = mixin.run({"vectors": [spoilt, *_others(document, case)]})
        if result.failures[:1] == [] or result.failures[0]["case"] != case["id"]:
            fooled.append(case["id"])
    assert fooled == []


def _others(document: dict[str, Any], case: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = case["input"].get("same_as")
    return [other for other in document["vectors"] if other["id"] == wanted]


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "0"
    return [value, "something else"]


def test_a_case_that_the_shared_file_does_not_know_is_skipped_with_its_reason() -> None:
    case = {"id": "x", "category": "amount", "fn": "unheardOf", "input": {}, "output": {}}
    result = mixin.run({"vectors": [case]})
    assert (result.passed, result.failed, result.skipped) == (0, 0, 1)
    assert list(result.reasons) == ["no such function in the shared file: amount, unheardOf"]


def test_a_tool_that_goes_beyond_the_kernels_limits_is_declined(document: dict[str, Any]) -> None:
    """The reason is a decision record that is there."""
    wide = next(case for case in document["vectors"] if case["id"] == "node/tx/256in_1out")
    wider = copy.deepcopy(wide)
    wider["input"]["inputs"].append({"hash": "00" * 32, "index": 0})
    many = {
        "id": "x", "category": "utxo_select", "fn": "getUnspentOutputsForRecipients",
        "input": {"amounts": ["1"] * 300, "need": "300"},
        "output": {"change": "0", "picked": list(range(300))},
    }  # fmt: skip
    result = mixin.run({"vectors": [wider, many]})
    assert (result.passed, result.failed, result.declined) == (0, 0, 2)
    (record,) = result.reasons
    assert (FILE.parents[2] / record).is_file()
