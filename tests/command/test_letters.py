"""Letters for many rows from the command line: from ids, slices and files; stopped and gone on with."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.csv
import pytest
from pyarrow import parquet

import assay
from engine.subjects import load_subject
from reports.bundle import read

ROOT = Path(__file__).parents[2]
ASKED = "report loans --as-of 2026-11-23 --audience letter --reference 20"


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("letters") / "home"


@pytest.fixture
def here(evidence: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_HOME", str(evidence))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_ids_and_slices_get_a_letter_each_and_say_how_many(here, capsys) -> None:
    assert assay.main(f"{ASKED} --rows 1001,1003 --out out".split()) == 0
    assert capsys.readouterr().out == "2 letters were written.\n"
    assert assay.main(f"{ASKED} --rows 0:3 --out out".split()) == 0
    assert capsys.readouterr().out == "1 letter was written, and 2 were there already.\n"
    assert sorted(path.name for path in Path("out").glob("*.pdf")) == [
        f"letter-{row_id}.pdf" for row_id in (1001, 1002, 1003)
    ]


def test_a_letters_command_asks_for_that_letter_again(here) -> None:
    assert assay.main(f"{ASKED} --rows 1001,1003 --out out".split()) == 0
    command = read(Path("out/letter-1003.assay").read_bytes()).manifest["command"]
    assert command == (
        "python assay.py report loans --audience letter --reference 20 --row 1003 --as-of 2026-11-23 "
        "--out letter-1003.pdf"
    )
    assert assay.main(command.split()[2:]) == 0
    assert Path("letter-1003.pdf").read_bytes() == Path("out/letter-1003.pdf").read_bytes()
    assert Path("letter-1003.assay").read_bytes() == Path("out/letter-1003.assay").read_bytes()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_of_other_rows_gets_letters_too(here, capsys, ending: str) -> None:
    loans = load_subject("loans")
    table = parquet.read_table(ROOT / "sample_models/loans/data.parquet").slice(0, 2)
    columns = {feature.name: table[feature.name] for feature in loans.model().spec.features}
    own = pyarrow.table({"row_id": ["A-1", "../B"], **columns})
    if ending == "csv":
        pyarrow.csv.write_csv(own, "own.csv")
    else:
        parquet.write_table(own, "own.parquet")
    assert assay.main(f"{ASKED} --rows own.{ending} --out out".split()) == 0
    assert capsys.readouterr().out == "2 letters were written.\n"
    found = sorted(path.name for path in Path("out").iterdir())
    assert len(found) == 4 and all(name.startswith(("letter-a-1.", "letter-b.")) for name in found)
    told = [read(path.read_bytes()) for path in sorted(Path("out").glob("*.assay"))]
    assert {each.manifest["row_ids"][0] for each in told} == {"A-1", "../B"}
    assert {each.manifest["command"] for each in told} == {
        f"python assay.py report loans --audience letter --reference 20 --rows own.{ending} "
        "--as-of 2026-11-23 --out out"
    }
    assert {each.manifest["data"]["digest"] for each in told} == {loans.dataset.digest}
    assert assay.main(f"{ASKED} --rows own.{ending} --out out".split()) == 0
    assert capsys.readouterr().out == "0 letters were written, and 2 were there already.\n"


@pytest.mark.parametrize("flag", ["--rows ", "--rows="])
def test_a_letters_command_does_not_say_where_its_file_lay(here, flag: str) -> None:
    loans = load_subject("loans")
    table = parquet.read_table(ROOT / "sample_models/loans/data.parquet").slice(5, 1)
    columns = {feature.name: table[feature.name] for feature in loans.model().spec.features}
    place = here / "debtors" / "own.csv"
    place.parent.mkdir()
    pyarrow.csv.write_csv(pyarrow.table({"row_id": ["A-1"], **columns}), place)
    assert assay.main(f"{ASKED} {flag}{place} --out out".split()) == 0
    (found,) = Path("out").glob("*.assay")
    assert read(found.read_bytes()).manifest["command"] == (
        "python assay.py report loans --audience letter --reference 20 --rows own.csv --as-of 2026-11-23 --out out"
    )
    assert b"debtors" not in found.read_bytes()


def test_an_id_that_the_data_has_too_is_told_apart(here) -> None:
    loans = load_subject("loans")
    table = parquet.read_table(ROOT / "sample_models/loans/data.parquet").slice(5, 1)
    columns = {feature.name: table[feature.name] for feature in loans.model().spec.features}
    pyarrow.csv.write_csv(pyarrow.table({"row_id": ["1001"], **columns}), "own.csv")
    assert assay.main(f"{ASKED} --rows own.csv --out out".split()) == 0
    (found,) = Path("out").glob("*.assay")
    assert read(found.read_bytes()).manifest["row_ids"] == ["own 1001"]


def test_one_that_is_stopped_says_how_far_it_came_and_goes_on(evidence: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "assay.py"), *ASKED.split(), "--rows", "0:90", "--out", "out"]
    environment = os.environ | {"ASSAY_HOME": str(evidence)}
    stopped = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 120
    while len(list(tmp_path.glob("out/*.pdf"))) < 3 and time.monotonic() < until and stopped.poll() is None:
        time.sleep(0.02)
    stopped.send_signal(signal.SIGINT)
    out, err = stopped.communicate(timeout=60)
    assert (stopped.returncode, out) == (130, "")
    done = len(list(tmp_path.glob("out/*.pdf")))
    assert 3 <= done < 90
    assert (
        err == f"error: Stopped. You called it off after {done} of 90 letters. Run the same command again to go on.\n"
    )
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("out/*.pdf")}
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (0, "")
    written = f"{90 - done} letter{'s were' if 90 - done > 1 else ' was'} written, and {done} were there already.\n"
    assert again.stdout == written
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("out/*.pdf")}
    assert len(after) == 90 and all(after[name] == when for name, when in before.items())


def test_a_file_where_the_folder_should_be_is_one_line(here, capsys) -> None:
    Path("out").write_text("mine")
    assert assay.main(f"{ASKED} --rows 1001 --out out".split()) == 2
    assert capsys.readouterr().err.startswith("error: out cannot be a folder. It is a file.")
    assert Path("out").read_text() == "mine"
