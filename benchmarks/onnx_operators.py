"""ONNX's own test cases through our importer: how many of each operator pass, for docs/onnx-operators.md.

Run: python -m benchmarks.onnx_operators            prints the counts and rewrites the page
"""

import re
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.version_converter
import torch
from onnx.backend.test.loader import load_model_tests

from core.errors import UserFacingError
from models.onnx.network import to_module, unsupported
from models.onnx.network.prepare import NEWEST, OLDEST
from models.onnx.network.registry import builder

PAGE = Path(__file__).parents[1] / "docs" / "onnx-operators.md"
STORED = ("simple", "pytorch-converted", "pytorch-operator")
PASSED, FAILED, REFUSED = "passed", "failed", "not taken"

Arrays = Sequence[Any]
Module = Callable[..., tuple[torch.Tensor, ...]]


@dataclass(frozen=True)
class Result:
    """What came of one case: `operator` is the one it tests, `why` names what failed or is not taken."""

    name: str
    operator: str
    outcome: str
    why: str = ""


def node_results() -> list[Result]:
    """Every node test of the installed onnx, those that write an operator out by its definition among them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases overflow and divide by zero on purpose
        cases = load_model_tests(kind="node")
    tested = {case.name: case.model.graph.node[0].op_type for case in cases}
    return [
        run_case(case.name, tested[_base(case.name, tested)], case.model, case.data_sets, case.rtol, case.atol)
        for case in cases
        if all(each.domain == "" for each in case.model.opset_import)
    ]


def stored_results(kind: str) -> list[Result]:
    """The cases of one `kind` that onnx keeps as files: whole models, most of them older than opset 7."""
    results = []
    for case in sorted(load_model_tests(kind=kind), key=lambda case: case.name):
        folder = Path(case.model_dir)
        model = onnx.load(folder / "model.onnx")
        operators = ", ".join(sorted({node.op_type for node in model.graph.node}))
        if model.opset_import[0].version < OLDEST:
            if "PRelu" in operators:  # the converter leaves its slope, which then means something else
                results.append(Result(case.name, operators, REFUSED, "PRelu of opset 6"))
                continue
            model = onnx.version_converter.convert_version(model, 9)
        data_sets = [
            (_stored(each, "input"), _stored(each, "output")) for each in sorted(folder.glob("test_data_set_*"))
        ]
        results.append(run_case(case.name, operators, model, data_sets, case.rtol, case.atol))
    return results


def run_case(
    name: str,
    operator: str,
    model: onnx.ModelProto,
    data_sets: Sequence[tuple[Arrays, Arrays]],
    rtol: float,
    atol: float,
) -> Result:
    """One case: its inputs through the importer's module, against its outputs."""
    refusals = unsupported(model)
    if refusals:
        return Result(name, operator, REFUSED, ", ".join(refusals))
    try:
        module = to_module(model)
        for inputs, outputs in data_sets:
            found = module(*map(as_tensor, inputs))
            for expected, got in zip(map(as_tensor, outputs), found, strict=True):
                _compare(expected, got, rtol, atol)
    except (UserFacingError, AssertionError) as error:
        return Result(name, operator, FAILED, str(error).strip().splitlines()[0])
    return Result(name, operator, PASSED)


def as_tensor(value: Any) -> torch.Tensor:
    """A case's number, array or stored tensor as torch's."""
    array = np.array(onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def document(node: Sequence[Result], stored: dict[str, Sequence[Result]]) -> str:
    """The page of the results."""
    return "\n".join(
        [
            "# ONNX operators with gradients",
            "",
            "<!-- Written by `python -m benchmarks.onnx_operators`; a test holds it equal to what that gives. -->",
            "",
            f"An ONNX network has gradients where our importer takes every operator in it, in opsets {OLDEST} to",
            f"{NEWEST}; any other is a black box through onnxruntime. If, Loop and Scan, sequences, strings, random",
            "numbers, floats of 8 bits and less, integers of 4 bits and less, and unsigned integers wider than 8 bits",
            "are not taken. Operators marked *defined* are expanded into simpler ones by ONNX's own definition.",
            "",
            "To add an operator, write a function in `models/onnx/network/operators` (`registry.py` says how) and run",
            "`python -m benchmarks.onnx_operators`, which rewrites this page.",
            "",
            "The counts are of ONNX's own test cases (`onnx.backend.test`; those of the machine-learning and preview",
            "domains left out), each run through the importer and compared with its stored outputs, type, shape and",
            "numbers, to the case's own tolerance. 16-bit floats are compared to twice the resolution of their type",
            "where the tolerance asks for more digits than the type has.",
            "",
            "| Cases | Passed | Failed | Not taken |",
            "|---|---:|---:|---:|",
            *(_counts(kind, results) for kind, results in {"node": node, **stored}.items()),
            "",
            "Models of the last three kinds that are older than opset 7 are first brought to opset 9 by onnx's own",
            "converter.",
            "",
            "## Each operator",
            "",
            "| Operator | Taken | Passed | Failed | Not taken | What is not taken, or failed |",
            "|---|---|---:|---:|---:|---|",
            *_rows(node),
            "",
            "## Whole models that are not taken",
            "",
            "| Case | Why |",
            "|---|---|",
            *(f"| {each.name} | {each.why} |" for results in stored.values() for each in results if each.why),
            "",
        ]
    )


def main() -> int:
    """Prints the counts and rewrites the page; 1 where a case of a claimed operator fails."""
    node = node_results()
    stored = {kind: stored_results(kind) for kind in STORED}
    PAGE.write_text(document(node, stored), encoding="utf-8")
    failed = 0
    for kind, results in {"node": node, **stored}.items():
        print(_counts(kind, results))
        for each in results:
            if each.outcome == FAILED:
                failed += 1
                print(f"  {each.name}: {each.why}")
    return int(failed > 0)


def _base(name: str, names: dict[str, str]) -> str:
    """The case that `name` writes out, or itself."""
    short = re.sub(r"_expanded(_.*)?$", "", name)
    return short if short in names else name


def _stored(folder: Path, prefix: str) -> list[np.ndarray]:
    paths = sorted(folder.glob(f"{prefix}_*.pb"), key=lambda path: int(path.stem.split("_")[1]))
    return [onnx.numpy_helper.to_array(onnx.load_tensor(path)) for path in paths]


def _compare(expected: torch.Tensor, got: torch.Tensor, rtol: float, atol: float) -> None:
    assert got.dtype == expected.dtype, f"{got.dtype} instead of {expected.dtype}"
    assert got.shape == expected.shape, f"shape {tuple(got.shape)} instead of {tuple(expected.shape)}"
    if expected.dtype in (torch.float16, torch.bfloat16):
        rtol = max(rtol, 2 * torch.finfo(expected.dtype).eps)
    if expected.is_floating_point():
        expected, got = expected.double(), got.double()
    close = torch.isclose(got, expected, rtol=rtol, atol=atol, equal_nan=True)
    assert close.all(), f"{int((~close).sum())} of {close.numel()} numbers differ"


def _counts(kind: str, results: Sequence[Result]) -> str:
    count = Counter(each.outcome for each in results)
    return f"| {kind} | {count[PASSED]} | {count[FAILED]} | {count[REFUSED]} |"


def _rows(results: Sequence[Result]) -> Iterator[str]:
    by_operator = defaultdict(list)
    for each in results:
        by_operator[each.operator].append(each)
    schemas = {each.name: each for each in onnx.defs.get_all_schemas() if each.domain == ""}
    for name in sorted(schemas.keys() | by_operator.keys()):
        cases = by_operator[name]
        count = Counter(each.outcome for each in cases)
        why = "; ".join(sorted({each.why for each in cases if each.why}))
        taken = _taken(name, schemas.get(name), count)
        yield f"| {name} | {taken} | {count[PASSED]} | {count[FAILED]} | {count[REFUSED]} | {why} |"


def _taken(name: str, schema: onnx.defs.OpSchema | None, count: Counter) -> str:
    if builder(name, NEWEST) or name == "Constant":
        return "yes"
    return "defined" if schema is not None and count[PASSED] else "no"


if __name__ == "__main__":
    sys.exit(main())
