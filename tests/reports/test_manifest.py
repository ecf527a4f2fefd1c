"""What a bundle says of itself has one shape, and a stamp comes back as it was."""

import hashlib
from datetime import date

import pytest

from core.nouns import MethodId
from explainers import EXPLAINERS
from reports.manifest import ROUNDING, environment, fits, stamped, tolerance, unstamped
from reports.report import Stamp


@pytest.mark.parametrize(
    ("told", "shape", "right"),
    [
        ("a", str, True),
        (True, int, False),
        (1, float, False),
        (None, (int, type(None)), True),
        ({"a": 1}, {"a": int}, True),
        ({"a": 1, "b": 2}, {"a": int}, False),
        ({}, {"a": int}, False),
        ([], {"a": int}, False),
        ({"x": "1", "y": "2"}, {...: str}, True),
        ({"x": 1}, {...: str}, False),
        ([1, 2], [int], True),
        ([1, "2"], [int], False),
        ({"a": {"b": [1]}}, {"a": {"b": [object]}}, True),
    ],
)
def test_a_shape_fits_or_not(told: object, shape: object, right: bool) -> None:
    assert fits(told, shape) is right


@pytest.mark.parametrize("log", [None, (12, "ab" * 32)])
def test_a_stamp_comes_back(log: tuple[int, str] | None) -> None:
    stamp = Stamp(date(2026, 11, 26), "A", "B", "C", True, log)
    assert unstamped(stamped(stamp)) == stamp


def test_only_exact_tree_shap_has_to_come_out_to_the_last_bit() -> None:
    given = {each.name: tolerance(MethodId(each.name, each.version)) for each in EXPLAINERS}
    assert {name for name, each in given.items() if not each} == {"tree_shap"}
    assert tolerance(MethodId("predict", "1")) == ROUNDING


def test_the_environment_names_the_files_that_pin_it(request: pytest.FixtureRequest) -> None:
    root = request.config.rootpath
    pins = (root / "constraints.txt").read_bytes() + (root / "requirements.txt").read_bytes()
    assert environment()["lock"] == hashlib.sha256(pins).hexdigest()
    assert f"torch=={environment()['libraries']['torch'].split('+')[0]}".encode() in pins
