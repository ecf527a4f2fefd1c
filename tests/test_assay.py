"""The command door, end to end: its answers keep the contract of docs/command-line.md, its refusals are one line."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

import assay
from attacks import ATTACKS
from command import asking
from core.nouns import Subject
from engine.subjects import SAMPLES, load_subject, subject_names
from explainers import EXPLAINERS
from reports import bundle
from reports.verifying import verify

ROOT = Path(__file__).parents[1]
EXPLAINED = {
    "subject", "model", "method", "target", "reference", "seed", "row_ids", "features", "values", "base", "output",
    "residual", "error", "tolerance", "complete", "facts", "question", "digest",
}  # fmt: skip
ATTACKED = {
    "subject", "model", "attack", "norm", "size", "seed", "row_ids", "features", "inputs", "perturbed", "clean_class",
    "attacked_class", "success", "distance", "model_calls", "noise_success", "facts", "question", "digest",
}  # fmt: skip

Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evidence of the whole module: what one test asked, the next has answered."""
    return tmp_path_factory.mktemp("evidence")


@pytest.fixture
def door(evidence: Path, tmp_path: Path) -> Run:
    """Runs a command as a person would, in an empty folder; everything after the subject may come in one string."""

    def run(*arguments: str) -> subprocess.CompletedProcess:
        words = [word for argument in arguments for word in argument.split(" ")]
        return subprocess.run(
            [sys.executable, str(ROOT / "assay.py"), *words], cwd=tmp_path, capture_output=True, text=True,
            env=os.environ | {"ASSAY_HOME": str(evidence)},
        )  # fmt: skip

    return run


@pytest.fixture
def here(evidence: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder for commands that are run in this process."""
    monkeypatch.setenv("ASSAY_HOME", str(evidence))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def good(done: subprocess.CompletedProcess) -> None:
    assert (done.returncode, done.stderr) == (0, "")


def read_all(folder: Path, stem: str) -> tuple[dict[str, Any], Any, Any]:
    """An answer in its three formats."""
    return (
        json.loads((folder / f"{stem}.json").read_text()),
        parquet.read_table(folder / f"{stem}.parquet"),
        np.load(folder / f"{stem}.npz", allow_pickle=False),
    )


def numbers(nested: Any) -> np.ndarray:
    return np.array(nested, dtype=float)


# --- list ------------------------------------------------------------------------------------------------------------


def test_list_names_everything_there_is(door: Run, tmp_path: Path) -> None:
    done = door("list")
    good(done)
    listed = json.loads(done.stdout)
    assert [each["name"] for each in listed["subjects"]] == list(subject_names())
    assert [each["name"] for each in listed["explainers"]] == [kind.name for kind in EXPLAINERS]
    assert [each["name"] for each in listed["attacks"]] == [kind.name for kind in ATTACKS]
    for entry in listed["explainers"] + listed["attacks"]:
        assert entry["title"] and entry["summary"] and entry["source"]
        for option in entry["options"]:
            assert set(option) == {"name", "kind", "default", "label", "help", "low", "high", "choices"}
    for subject in listed["subjects"]:
        loaded = load_subject(subject["name"])
        assert subject["rows"] == len(loaded.dataset)
        assert [model["name"] for model in subject["models"]] == [model.name for model in loaded.models]
    networks = next(each for each in listed["subjects"] if each["name"] == "digits")["models"]
    assert all({"integrated_gradients", "saliency"} <= set(each["explainers"]) for each in networks)
    assert all({"pgd", "fgsm", "random_search"} == set(each["attacks"]) for each in networks)
    good(door("list --out list.json"))
    assert (tmp_path / "list.json").read_text() == done.stdout


# --- explain ---------------------------------------------------------------------------------------------------------

CASES = {
    "tumours": ("tumours --method permutation_shap --rows 0:3 --reference 4 --option pairs=64", (3, 30), None),
    "digits": ("digits --method integrated_gradients --rows 5,17 --reference 2 --target 3", (2, 8, 8, 1), "3"),
    "loans": ("loans --method permutation_shap --rows=-2: --reference 4 --option pairs=64", (2, 14), None),
}


@pytest.mark.parametrize("name", CASES)
def test_an_explanation_keeps_the_contract_in_every_format(
    door: Run, tmp_path: Path, evidence: Path, name: str
) -> None:
    asked, shape, target = CASES[name]
    for ending in ("json", "parquet", "npz"):
        good(door(f"explain {asked} --out a.{ending}"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.npz", "a.parquet"]
    found, table, arrays = read_all(tmp_path, "a")
    subject = load_subject(name)
    classes = subject.model().spec.classes

    assert set(found) == EXPLAINED
    assert (found["subject"], found["model"], found["seed"]) == (name, subject.model().name, 0)
    assert set(found["method"]) == {"name", "version", "options"}
    assert found["target"]["class"] == (target or classes[1])
    assert len(found["reference"]["row_ids"]) == found["reference"]["rows"]
    assert found["reference"]["seed"] == subject.reference_seed
    assert len(found["digest"]) == len(found["question"]) == len(found["reference"]["digest"]) == 64
    assert len(found["features"]) == np.prod(shape[1:])
    assert found["complete"] is True
    values, error = numbers(found["values"]), found["error"]
    assert values.shape == shape
    assert error is None or numbers(error).shape == shape
    sums = numbers(found["base"]) + values.reshape(len(values), -1).sum(axis=1) + numbers(found["residual"])
    np.testing.assert_allclose(sums, numbers(found["output"]), rtol=0, atol=1e-9)

    rows = [subject.dataset.index(row_id) for row_id in found["row_ids"]]
    assert rows == {"tumours": [0, 1, 2], "digits": [5, 17], "loans": [19_998, 19_999]}[name]

    about = json.loads(table.schema.metadata[b"assay"])
    np.testing.assert_array_equal(
        np.column_stack([table[each] for each in found["features"]]), values.reshape(len(values), -1)
    )
    assert table["row_id"].to_pylist() == found["row_ids"] == arrays["row_ids"].tolist()
    for key in ("base", "output", "residual"):
        assert table[key].to_pylist() == found[key] == arrays[key].tolist()
    np.testing.assert_array_equal(arrays["values"], values)
    assert arrays["features"].tolist() == found["features"]
    assert ("error" in arrays) == (error is not None) == (f"error.{found['features'][0]}" in table.column_names)
    plain = {key for key in EXPLAINED if key not in arrays or key == "features"}
    assert about == json.loads(str(arrays["meta"])) == {key: found[key] for key in plain}


def test_a_question_once_answered_starts_no_worker(door: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = f"explain {CASES['tumours'][0]}".split()
    good(door(*asked, "--out first.json"))

    def refuse(*_: object) -> None:
        raise OSError("a worker was started")

    monkeypatch.setattr("engine.crew.WorkerProcess", refuse)
    assert assay.main([*asked, "--out", "second.json"]) == 0
    assert (here / "first.json").read_bytes() == (here / "second.json").read_bytes()


def test_the_class_left_out_is_the_one_decided_for_the_first_row(door: Run) -> None:
    done = door("explain digits --method saliency --rows 4:6")
    good(done)
    found = json.loads(done.stdout)
    assert found["target"] == {"class": "4", "scale": "logit"}
    assert found["reference"] is found["error"] is found["complete"] is None
    assert found["base"] == found["residual"] == [None, None]
    assert np.isfinite(numbers(found["values"])).all()


def test_model_target_reference_and_seed_are_taken_as_given(door: Run) -> None:
    done = door(
        "explain tumours --model mlp --method deeplift --rows 1 --target benign",
        "--reference 3 --reference-seed 9 --seed 5",
    )
    good(done)
    found = json.loads(done.stdout)
    assert (found["model"], found["seed"], found["target"]["class"]) == ("mlp", 5, "benign")
    reference = load_subject("tumours").reference(3, 9)
    assert found["reference"] == {
        "rows": 3, "seed": 9, "digest": reference.digest, "row_ids": list(reference.row_ids)
    }  # fmt: skip


def test_a_folder_is_a_subject(door: Run, tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "tumours", tmp_path / "mine")
    by_folder, by_name = door("explain mine", *CASES["tumours"][0].split()[1:]), door(f"explain {CASES['tumours'][0]}")
    good(by_folder)
    assert by_folder.stdout == by_name.stdout


# --- attack ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("tumours", "tumours --attack random_search --norm l2 --eps 0.3 --rows 0:2 --option queries=40"),
        ("digits", "digits --attack pgd --norm linf --eps 0.2 --rows 0:2 --option steps=5 --seed 2"),
        ("loans", "loans --attack random_search --eps 0.1 --rows 1001,1005 --option queries=40"),
    ],
)
def test_an_attack_keeps_the_contract_in_every_format(door: Run, tmp_path: Path, name: str, asked: str) -> None:
    for ending in ("json", "parquet", "npz"):
        good(door(f"attack {asked} --out a.{ending}"))
    found, table, arrays = read_all(tmp_path, "a")
    subject = load_subject(name)
    spec = subject.model().spec

    assert set(found) == ATTACKED
    assert found["attack"]["options"]["norm"] == found["norm"]
    assert found["attack"]["options"]["size"] == found["size"] == float(asked.split("--eps ")[1].split()[0])
    inputs, perturbed = numbers(found["inputs"]), numbers(found["perturbed"])
    rows = [subject.dataset.index(row_id) for row_id in found["row_ids"]]
    np.testing.assert_array_equal(inputs, subject.dataset.rows[rows])
    assert perturbed.shape == inputs.shape
    assert set(found["clean_class"] + found["attacked_class"]) <= set(spec.classes)
    pairs = zip(found["clean_class"], found["attacked_class"], strict=True)
    assert found["success"] == [clean != after for clean, after in pairs]
    assert max(found["distance"]) <= found["size"] + 1e-9
    assert len(found["noise_success"]) == len(rows)
    assert found["model_calls"] >= len(rows)
    if name == "tumours":
        moves = (perturbed - inputs) / [feature.span for feature in spec.features]
        np.testing.assert_allclose(np.linalg.norm(moves, axis=1), found["distance"], atol=1e-9)

    for key in ("inputs", "perturbed"):
        np.testing.assert_array_equal(arrays[key], numbers(found[key]))
        columns = [table[f"{key}.{feature}"].to_numpy() for feature in found["features"]]
        np.testing.assert_array_equal(np.column_stack(columns), arrays[key].reshape(len(rows), -1))
    for key in ("clean_class", "attacked_class", "success", "distance", "noise_success"):
        assert table[key].to_pylist() == found[key] == arrays[key].tolist()
    assert json.loads(str(arrays["meta"]))["digest"] == found["digest"]


# --- report ----------------------------------------------------------------------------------------------------------


def test_a_report_is_a_pdf_and_the_same_bytes_again(door: Run, tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        good(door("report tumours --model mlp --row 17 --reference 4 --eps 0.05 --attack fgsm --out a.pdf"))
        written.append([(tmp_path / name).read_bytes() for name in ("a.pdf", "a.assay")])
    assert written[0][0].startswith(b"%PDF-")
    assert written[0] == written[1]


def test_a_report_has_its_evidence_beside_it_and_the_command_that_asks_again(door: Run, tmp_path: Path) -> None:
    asked = "report tumours --row 17 --reference 4 --sections decision --author A --as-of 2026-01-02 --out"
    good(door(f"{asked} a.pdf"))
    told = bundle.read((tmp_path / "a.assay").read_bytes()).manifest
    assert told["command"] == (
        "python assay.py report tumours --reference 4 --sections decision --author A --row 17 --as-of 2026-01-02 "
        "--out a.pdf"
    )
    assert told["stamp"]["as_of"] == "2026-01-02" and told["stamp"]["author"] == "A" and not told["stamp"]["final"]
    good(door(f"{asked} b.pdf"))
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert not list(tmp_path.glob("*.sig"))


def test_a_final_report_is_signed(door: Run, tmp_path: Path) -> None:
    good(door("report tumours --audience letter --row 17 --reference 20 --final --out a.pdf"))
    verdict = verify((tmp_path / "a.assay").read_bytes(), None, (tmp_path / "a.assay.sig").read_bytes())
    assert not [line.sentence for line in verdict.lines if line.good is False and "trust" not in line.sentence]
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")


@pytest.mark.parametrize("audience", ["full", "summary"])
def test_a_whole_model_is_reported(door: Run, tmp_path: Path, audience: str) -> None:
    good(door(f"report tumours --audience {audience} --reference 4 --out {audience}.pdf"))
    assert bundle.read((tmp_path / f"{audience}.assay").read_bytes()).audience == audience


def test_two_reports_are_told_apart(door: Run, tmp_path: Path) -> None:
    asked = "report tumours --row 17 --sections decision,attributions --out"
    good(door(f"{asked} a.pdf --reference 4"))
    good(door(f"{asked} b.pdf --reference 4 --model mlp"))
    done = door("diff a.assay b.assay")
    good(done)
    assert "model: The model is another: digest" in done.stdout
    good(door("diff a.assay b.assay --out diff.json"))
    told = json.loads((tmp_path / "diff.json").read_text())
    assert {each["topic"] for each in told["changes"]} >= {"model", "effects"}
    same = door("diff a.assay a.assay")
    good(same)
    assert same.stdout == "Nothing differs.\n"


def test_a_report_without_its_attack_runs_none(door: Run, tmp_path: Path) -> None:
    good(door("report digits --row 5 --reference 2 --sections decision,ledger --out short.pdf"))
    assert (tmp_path / "short.pdf").read_bytes().startswith(b"%PDF-")


# --- refusals --------------------------------------------------------------------------------------------------------

EXPLAIN = "explain tumours --method permutation_shap --rows 0:1 --out a.json"
ATTACK = "attack tumours --attack random_search --eps 0.1 --rows 0:1 --out a.json"
REPORT = "report tumours --row 17 --out a.pdf"
REFUSED = {
    "subject": (EXPLAIN.replace("tumours", "tumors"), "There is no subject 'tumors'"),
    "model": (f"{EXPLAIN} --model cnn", "tumours has no model called 'cnn'"),
    "method": (EXPLAIN.replace("permutation_shap", "lime"), "There is no explainer called 'lime'"),
    "method that does not apply": (EXPLAIN.replace("permutation_shap", "saliency"), "does not apply to this model"),
    "row": (EXPLAIN.replace("0:1", "570"), "There is no patient '570'"),
    "one row of several": (EXPLAIN.replace("0:1", "1,x"), "There is no patient 'x'"),
    "slice past the end": (EXPLAIN.replace("0:1", "0:570"), "This data set has 569 rows"),
    "slice before the start": (EXPLAIN.replace(" 0:1", "=-570:"), "This data set has 569 rows"),
    "empty slice": (EXPLAIN.replace("0:1", "3:3"), "The rows 3:3 are none"),
    "class": (f"{EXPLAIN} --target odd", "There is no class called 'odd'"),
    "empty reference": (f"{EXPLAIN} --reference 0", "The reference is empty"),
    "large reference": (f"{EXPLAIN} --reference 570", "The reference cannot be drawn"),
    "no number": (f"{EXPLAIN} --reference few", "'few' is not a whole number"),
    "seed below zero": (f"{EXPLAIN} --seed -1", "a seed is a whole number from 0, not -1"),
    "option": (f"{EXPLAIN} --option depth=3", "has no option called 'depth'"),
    "option out of bounds": (f"{EXPLAIN} --option pairs=-1", "-1 is out of range. Choose"),
    "option without value": (f"{EXPLAIN} --option pairs", "'pairs' has no ="),
    "option twice": (f"{EXPLAIN} --option pairs=64 --option pairs=65", "'pairs' is given twice"),
    "ending": (EXPLAIN.replace(".json", ".csv"), "a.csv cannot be written. Its name ends in .csv"),
    "no ending": (EXPLAIN.replace("a.json", "a"), "a cannot be written"),
    "folder": (EXPLAIN.replace("a.json", "b/a.json"), "There is no folder b"),
    "size below zero": (ATTACK.replace("0.1", "-0.1"), "-0.1 is out of range. Choose"),
    "endless size": (ATTACK.replace("0.1", "inf"), "inf is out of range. Choose"),
    "size twice": (f"{ATTACK} --option size=0.2", "'size' is given twice"),
    "norm": (f"{ATTACK} --norm l7", "'l7' is not one of them"),
    "attack": (ATTACK.replace("random_search", "square"), "There is no attack called 'square'"),
    "attack that does not apply": (ATTACK.replace("random_search", "pgd"), "(PGD) does not apply to this model"),
    "report's row": (REPORT.replace("17", "0"), "There is no patient '0'"),
    "report's class": (f"{REPORT} --target odd", "There is no class called 'odd'"),
    "report's attack": (f"{REPORT} --attack fgsm", "(FGSM) does not apply to this model"),
    "report's size": (f"{REPORT} --eps -1", "-1 is out of range"),
    "report's section": (f"{REPORT} --sections decision,annex", "'annex' is none of"),
    "report's ending": (REPORT.replace(".pdf", ".json"), "Choose a name that ends in .pdf"),
    "report without a file": (REPORT.replace(" --out a.pdf", ""), "The following arguments are required: --out"),
    "report without a row": (REPORT.replace(" --row 17", ""), "A decision is about a row, and none is named"),
    "whole report about a row": (f"{REPORT} --audience full", "--row names the one row"),
    "one row and many": (f"{REPORT} --audience letter --rows 1,2", "--row names the one row"),
    "many decisions": (REPORT.replace("--row 17", "--rows 1,2"), "--rows asks for letters"),
    "letter's sections": (f"{REPORT} --audience letter --sections decision", "--sections is for the report on one"),
    "report's audience": (f"{REPORT} --audience press", "invalid choice: 'press'"),
    "report's date": (f"{REPORT} --as-of today", "'today' is not a date as in 2026-11-23"),
    "letters' folder": ("report tumours --audience letter --rows 1,2 --out b/c", "There is no folder b"),
    "letters' file": ("report tumours --audience letter --rows a.csv --out b", "a.csv cannot be read"),
    "diff's file": ("diff a.pdf b.pdf", "a.pdf cannot be read"),
    "no command": ("", "The following arguments are required: COMMAND"),
    "command": ("inspect", "invalid choice: 'inspect'"),
    "flag": (f"{EXPLAIN} --fast", "Unrecognized arguments: --fast"),
}


def refused(status: int, out: str, err: str, why: str) -> None:
    assert (status, out) == (2, "")
    assert re.fullmatch(r"error: [^\n]+[.?] [^\n]+[.?] [^\n]+[.?]\n", err), err
    assert why in err


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("a worker was started")

    monkeypatch.setattr("engine.crew.WorkerProcess", refuse)


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_line_before_anything_is_computed(
    here: Path, no_worker: None, capsys: pytest.CaptureFixture, name: str
) -> None:
    command, why = REFUSED[name]
    status = assay.main(command.split())
    refused(status, *capsys.readouterr(), why)
    assert not list(here.iterdir())


def test_the_process_itself_says_the_same(door: Run, tmp_path: Path) -> None:
    done = door(REFUSED["size below zero"][0])
    refused(done.returncode, done.stdout, done.stderr, "-0.1 is out of range")
    assert not list(tmp_path.iterdir())


def _lose(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _spoil(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(b"spoilt")


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (_lose("subject.toml"), "The file subject.toml is missing"),
        (_lose("data.parquet"), "The file data.parquet is missing"),
        (_lose("xgboost.json"), "The file xgboost.json is missing"),
        (_spoil("subject.toml"), "subject.toml is not valid TOML"),
        (_spoil("data.parquet"), "data.parquet is not a readable Parquet file"),
        (_spoil("xgboost.json"), "The file xgboost.json has the digest"),
    ],
    ids=["no toml", "no data", "no model", "broken toml", "broken data", "broken model"],
)
def test_a_subjects_missing_or_broken_file_is_one_line(
    here: Path, no_worker: None, capsys: pytest.CaptureFixture, harm: Callable[[Path], None], why: str
) -> None:
    shutil.copytree(SAMPLES / "tumours", here / "mine")
    harm(here / "mine")
    for command in (EXPLAIN, ATTACK, REPORT):
        status = assay.main(command.replace("tumours", "mine").split())
        refused(status, *capsys.readouterr(), why)
    assert [path.name for path in here.iterdir()] == ["mine"]


def test_a_model_that_no_library_can_open_is_one_line(door: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(SAMPLES / "tumours", folder)
    old = (folder / "xgboost.json").read_bytes()
    new = old[: len(old) // 2]
    (folder / "xgboost.json").write_bytes(new)
    _rename_digest(folder, old, new)
    done = door(EXPLAIN.replace("tumours", "mine"))
    refused(done.returncode, done.stdout, done.stderr, "")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def _rename_digest(folder: Path, old: bytes, new: bytes) -> None:
    from hashlib import sha256

    toml = folder / "subject.toml"
    toml.write_text(toml.read_text().replace(sha256(old).hexdigest(), sha256(new).hexdigest()))


def test_a_home_that_cannot_be_made_is_one_line(
    here: Path, no_worker: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (here / "taken").write_text("")
    monkeypatch.setenv("ASSAY_HOME", str(here / "taken"))
    refused(assay.main(EXPLAIN.split()), *capsys.readouterr(), "There is no place for the evidence")


def test_a_full_disk_keeps_the_file_that_was_there(
    door: Run, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    good(door(f"explain {CASES['tumours'][0]} --out a.json"))
    (here / "a.json").write_text("the old one")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    status = assay.main(f"explain {CASES['tumours'][0]} --out a.json".split())
    refused(status, *capsys.readouterr(), "a.json could not be written")
    assert [path.name for path in here.iterdir()] == ["a.json"]
    assert (here / "a.json").read_text() == "the old one"


# --- a terminal, and being called off ---------------------------------------------------------------------------------


def test_a_terminal_gets_a_bar_and_ctrl_c_one_line(evidence: Path, tmp_path: Path) -> None:
    command = "attack loans --attack random_search --eps 1e-9 --rows 0:500 --option queries=1000000 --out a.json"
    terminal, screen = pty.openpty()
    with subprocess.Popen(
        [sys.executable, str(ROOT / "assay.py"), *command.split()], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=screen, env=os.environ | {"ASSAY_HOME": str(evidence)},
    ) as running:  # fmt: skip
        shown = os.read(terminal, 100)
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        out = running.stdout.read()
    os.close(screen)
    while chunk := _rest(terminal):
        shown += chunk
    assert (running.returncode, out) == (130, b"")
    assert shown.startswith(b"\rRandom search [")
    assert shown.endswith(b"\r\x1b[Kerror: Stopped. You called it off. Run the command again to start over.\r\n")
    assert not list(tmp_path.iterdir())


def _rest(terminal: int) -> bytes:
    try:
        return os.read(terminal, 10_000)
    except OSError:  # how Linux says that the other end was closed
        return b""


def test_a_reader_that_stops_reading_is_no_error(evidence: Path) -> None:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{sys.executable} {ROOT / 'assay.py'} list | head -c 10"],
        capture_output=True, text=True, env=os.environ | {"ASSAY_HOME": str(evidence)},
    )  # fmt: skip
    assert done.stderr == ""


_HEAVY = """
import sys, assay
assay.main(["list"])
heavy = {"torch", "captum", "shap", "xgboost", "lightgbm", "sklearn", "numba", "scipy", "matplotlib", "typst",
         "streamlit", "plotly"}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


def test_starting_loads_no_heavy_library() -> None:
    done = subprocess.run([sys.executable, "-c", _HEAVY], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == "[]\n"


def test_the_contract_is_written_down() -> None:
    document = (ROOT / "docs" / "command-line.md").read_text()
    explained, attacked = document.split("## explain")[1].split("## attack")
    for key in EXPLAINED:
        assert f"`{key}`" in explained
    for key in ATTACKED:
        assert f"`{key}`" in attacked or f"`{key}`" in explained


def test_ids_are_what_the_page_shows(here: Path) -> None:
    loans: Subject = load_subject("loans")
    assert asking.positions(loans, "1001, 1003") == [0, 2]
    assert asking.positions(loans, "0:2") == [0, 1]
    assert asking.positions(loans, "19998:") == asking.positions(loans, "-2:") == [19998, 19999]
