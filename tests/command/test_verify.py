"""`verify` on reports, as a person runs it; tests/command/test_log.py has logs."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from access.people import LOCAL
from command import verify
from core.errors import UserFacingError
from reports import bundle
from reports.signer import signer
from reports.signing import publish
from tests.reports.signed import house, made, restamped

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sample_models" / "tumours"
Door = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A signed report, its evidence and signature beside it, the certificate, and logs exported after and before.

    Two more are signed, `other` with an entry of the log that is about something else, and `none` without an entry.
    """
    there = tmp_path_factory.mktemp("verify")
    with house(there / "home") as desk:
        report = made(desk)
        other = desk.log.record(LOCAL, "export", kind="log")
        (there / "early.jsonl").write_bytes(b"".join(desk.log.export()))
        published = publish(desk, report)
        (there / "log.jsonl").write_bytes(b"".join(desk.log.export()))
        with signer(desk.vault) as found:
            (there / "signer.pem").write_bytes(found.pem())
            for name, log in (("other", (other.number, other.digest)), ("none", None)):
                evidence = bundle.pack(restamped(report, final=True, log=log))
                (there / f"{name}.assay").write_bytes(evidence)
                (there / f"{name}.assay.sig").write_bytes(found.detached(evidence))
    for ending, body in (("pdf", published.pdf), ("assay", published.bundle), ("assay.sig", published.signature)):
        (there / f"report.{ending}").write_bytes(body)
    return there


@pytest.fixture
def door(folder: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> Door:
    """Runs `verify` in a folder with those files, on a machine that has never seen the subject."""
    for each in folder.iterdir():
        if each.is_file():
            shutil.copy(each, tmp_path)
    shutil.copy(SAMPLE / "mlp.safetensors", tmp_path / "model")
    shutil.copy(SAMPLE / "data.parquet", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "another home"))

    def run(*words: str) -> tuple[int, str]:
        parser = argparse.ArgumentParser()
        verify.add_to(parser.add_subparsers())
        capsys.readouterr()
        status = verify.run(parser.parse_args(["verify", *words]))
        return status, capsys.readouterr().out

    return run


def flip(name: str, place: int) -> None:
    body = bytearray(Path(name).read_bytes())
    body[place] ^= 1
    Path(name).write_bytes(body)


@pytest.mark.parametrize("name", ["report.pdf", "report.assay"])
def test_a_signed_report_verifies(door: Door, name: str) -> None:
    status, said = door(name, "--trust", "signer.pem")
    assert status == 0 and said.endswith("\nVerified.\n") and "Not verified" not in said


def test_without_a_certificate_it_says_what_to_do(door: Door) -> None:
    status, said = door("report.pdf")
    assert status == 1 and "Not verified: " in said and "--trust" in said and not said.endswith("Verified.\n")


def test_the_log_must_hold_what_the_report_notes(door: Door) -> None:
    status, said = door("report.pdf", "--trust", "signer.pem", "--log", "log.jsonl")
    assert status == 0 and "The log: Verified: " in said
    status, said = door("report.pdf", "--trust", "signer.pem", "--log", "early.jsonl")
    assert status == 1 and "the head that was noted is that of entry" in said
    for name, words in (("other", "does not say that this report was signed"), ("none", "notes no entry")):
        status, said = door(f"{name}.assay", "--trust", "signer.pem")
        assert status == 0, said
        status, said = door(f"{name}.assay", "--trust", "signer.pem", "--log", "log.jsonl")
        assert status == 1 and words in said


def test_each_changed_file_has_its_own_sentence(door: Door) -> None:
    words = ["--trust", "signer.pem", "--model", "model", "--data", "data"]
    status, said = door("report.pdf", *words)
    assert status == 0 and "model is the model of the report, byte for byte." in said
    assert "data is the data of the report, byte for byte." in said
    found = {}
    for what, name in (
        ("model", "report.pdf"),
        ("data", "report.pdf"),
        ("report.pdf", "report.pdf"),
        ("report.assay",) * 2,
    ):
        body = Path(what).read_bytes()
        flip(what, len(body) // 2)
        status, said = door(name, *words)
        assert status == 1
        found[what] = "\n".join(line for line in said.splitlines() if line.startswith("Not verified: "))
        Path(what).write_bytes(body)
    assert "model is not the model of the report" in found["model"]
    assert "data is not the data of the report" in found["data"]
    assert "The PDF was changed" in found["report.pdf"] and "The evidence was changed" in found["report.assay"]
    assert len(set(found.values())) == 4
    flip("signer.pem", 200)
    with pytest.raises(UserFacingError, match="The certificate file cannot be read"):
        door("report.pdf", *words)


def test_data_written_another_way_are_the_same_data(door: Door) -> None:
    from pyarrow import parquet

    parquet.write_table(parquet.read_table("data"), "data", compression="gzip")
    status, said = door("report.pdf", "--trust", "signer.pem", "--model", "model", "--data", "data")
    assert status == 0 and "another file than the report's data, with the same content" in said


def test_everything_is_computed_again_from_files_alone(door: Door) -> None:
    files = ("--model", "model", "--data", "data")
    status, said = door("report.pdf", "--trust", "signer.pem", "--recompute", *files)
    assert "Printed again from its evidence, the PDF is the same, byte for byte." in said
    assert status == 0 and said.endswith("Verified.\n")
    assert all(f"\n{name}: " in said for name in ("decision", "reference-scores", "explanation-1"))


def test_what_cannot_be_computed_again_is_a_finding_after_all_others(door: Door) -> None:
    """Of another model, and of a subject that is not here: the report can be read, and does not verify."""
    Path("model").write_bytes(Path("model").read_bytes() + b" ")
    status, said = door("report.pdf", "--trust", "signer.pem", "--recompute", "--model", "model", "--data", "data")
    lines = said.splitlines()
    assert status == 1 and lines[0] == "The PDF is as it was signed."
    assert any(line.startswith("Not verified: model is not the model of the report") for line in lines)
    assert lines[-1].startswith("Not verified: It was not computed again. model is not the model of this report.")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--trust", "signer.pem", "--log", "log.jsonl"],
        ["--log", "log.jsonl", "--recompute"],
        ["report.pdf", "--trust", "a" * 64],
        ["report.pdf", "--head", f"3:{'a' * 64}"],
    ],
)
def test_flags_that_do_not_go_together(door: Door, words: list[str]) -> None:
    with pytest.raises(UserFacingError, match="This command cannot be read"):
        door(*words)


def test_what_cannot_be_read(door: Door, tmp_path: Path) -> None:
    (tmp_path / "hello.pdf").write_bytes(b"hello")
    with pytest.raises(UserFacingError, match="The file cannot be checked"):
        door("hello.pdf")
    with pytest.raises(UserFacingError, match="cannot be read"):
        door("missing.pdf")
    with pytest.raises(UserFacingError, match="The certificate file cannot be read"):
        door("report.pdf", "--trust", "hello.pdf")


SCRIPT = """
import argparse, socket, sys
from command import verify

def never(*_given, **_named):
    raise AssertionError("a connection was made")

socket.create_connection = socket.getaddrinfo = socket.socket.connect = never
parser = argparse.ArgumentParser()
verify.add_to(parser.add_subparsers())
print(verify.run(parser.parse_args(["verify", "report.pdf", "--trust", "signer.pem"])))
"""


def test_it_needs_the_files_and_nothing_else(folder: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "ASSAY_HOME": "/nowhere"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.stdout.endswith("Verified.\n0\n") and done.stderr == "", done.stderr
