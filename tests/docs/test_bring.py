"""The pages on bringing a model and data: their lines run as they stand, from top to bottom in an empty folder, and
what Assay predicts with the exported file is what the framework itself predicts.

A page whose framework is neither installed nor among the requirements is skipped, and counted as such.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest

from core.scores import probabilities
from data_files import inspect_data
from data_files.limits import limits as inside
from engine.limits import limits as outside
from engine.subjects import load_subject
from models import load_model
from tests.test_readme import ROOT, blocks, commands, workspace

FOLDER = ROOT / "docs" / "bring"
CHECK = re.compile(r"python assay\.py check --model \S+ --data \S+ --target label")


@dataclass(frozen=True)
class Page:
    """`needs` is the package that a page is about, `format` what its file is told to be, and `probabilities` what the
    framework predicts for the rows of data.csv, a column a class, in the page's own names.
    """

    needs: str
    format: str
    probabilities: str
    capabilities: tuple[str, ...] = ()


PAGES = {
    "pytorch": Page("torch", "onnx", "torch.softmax(model(x), 1).detach().numpy()", ("gradients",)),
    "keras": Page("keras", "onnx", "two(model.predict(x, verbose=0)[:, 0])", ("gradients",)),
    "jax": Page("jax2onnx", "onnx", "jax.nn.softmax(predict(x))", ("gradients",)),
    "scikit-learn": Page("skops", "sklearn", "model.predict_proba(table.drop(columns='label'))"),
    "xgboost": Page("xgboost", "xgboost", "model.predict_proba(rows)", ("trees",)),
    "lightgbm": Page("lightgbm", "lightgbm", "model.predict_proba(rows)", ("trees",)),
    "catboost": Page("catboost", "catboost", "model.predict_proba(table.drop(columns='label'))"),
    "hugging-face": Page("transformers", "hugging_face", "torch.softmax(model(**batch).logits, 1).detach().numpy()"),
}
PROBE = """
import numpy
two = lambda p: numpy.column_stack([1 - p, p])
numpy.save("expected.npy", numpy.asarray({probabilities}, dtype="float64"))
"""


def run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
    return done.stdout


def require(package: str) -> None:
    """Skips where a package is not installed; one that the requirements name has to be."""
    if importlib.util.find_spec(package) is None:
        pinned = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("requirements*.txt"))
        assert not re.search(rf"^{package}\b", pinned, re.MULTILINE), f"{package} is required and not installed"
        pytest.skip(f"{package} is not installed")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_brings_the_same_model(name, tmp_path):
    page, path = PAGES[name], FOLDER / f"{name}.md"
    require(page.needs)
    probe = PROBE.format(probabilities=page.probabilities)
    run([sys.executable, "-W", "ignore", "-c", "\n".join([*blocks(path, "python"), probe])], tmp_path)
    environment = workspace(tmp_path)
    (command,) = commands(path)
    said = json.loads(run(["bash", "-euo", "pipefail", "-c", f"{command} --save subject"], tmp_path, environment))
    assert said["model"]["format"] == page.format
    subject = load_subject(str(tmp_path / "subject"))
    (file,) = subject.models
    assert set(page.capabilities) <= set(file.spec.capabilities)
    model = load_model(file.format, Path(file.path).read_bytes(), file.spec, file.settings)
    outputs = probabilities(model.predict(subject.dataset.rows), file.spec)
    np.testing.assert_allclose(outputs, np.load(tmp_path / "expected.npy"), atol=1e-5)


def test_the_data_are_read_as_the_page_says(tmp_path):
    run([sys.executable, "-W", "ignore", "-c", "\n".join(blocks(FOLDER / "data.md", "python"))], tmp_path)
    for file in ("data.csv", "data.parquet"):
        facts = inspect_data((tmp_path / file).read_bytes())
        kinds = {column.name: column.kind for column in facts.columns}
        assert kinds == {
            "application": "text",
            "income": "integer",
            "housing": "category",
            "region_code": "category",
            "held_out": "boolean",
            "label": "category",
        }
        assert {column.name: column.missing for column in facts.columns if column.missing} == {"income": 1}
    pictures = inspect_data((tmp_path / "pictures.zip").read_bytes())
    assert (pictures.shape, pictures.rows, pictures.upper) == ((8, 8, 3), 6, 255)
    assert {column.name: column.categories for column in pictures.columns}["label"] == ("cat", "dog")


def test_the_page_on_data_names_the_bounds(monkeypatch):
    for name in [name for name in os.environ if name.startswith("ASSAY_MAX_")]:
        monkeypatch.delenv(name)
    listed = re.findall(r"\| ([\d,]+)( MiB| GiB)? \| `(ASSAY_MAX_\w+)` \|", (FOLDER / "data.md").read_text("utf-8"))
    sizes = {"": 1, " MiB": 1 << 20, " GiB": 1 << 30}
    bounds = {setting: int(number.replace(",", "")) * sizes[unit] for number, unit, setting in listed}
    known = {f"ASSAY_MAX_{name.upper()}": value for name, value in asdict(inside()).items()}
    assert bounds == known | {"ASSAY_MAX_DATA": outside().data}


def test_every_page_is_listed_and_ends_with_the_check():
    index = (ROOT / "docs" / "bring-a-model.md").read_text(encoding="utf-8")
    assert {path.stem for path in FOLDER.glob("*.md")} == {*PAGES, "data"}
    for name in PAGES:
        assert f"(bring/{name}.md)" in index
        assert CHECK.fullmatch(commands(FOLDER / f"{name}.md")[-1])
        assert (FOLDER / f"{name}.md").read_text(encoding="utf-8").endswith("--target label\n```\n")
