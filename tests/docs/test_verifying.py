"""What docs/verifying.md says to type is typed, beside a signed report, the files that it is about and the log."""

import shutil
from pathlib import Path

import pytest

from tests.test_readme import ROOT, commands, done, workspace

PAGE = ROOT / "docs" / "verifying.md"
MADE = (
    "keys certificate --out signer.pem",
    "report tumours --row 17 --reference 5 --sections decision,ledger --final --out report.pdf",
    "log export --out log.jsonl",
)


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with everything that the page speaks of, and the environment for commands in it."""
    folder = tmp_path_factory.mktemp("sent")
    environment = workspace(folder)
    for words in MADE:
        done(["bash", "-c", f"python assay.py {words}"], folder, environment)
    shutil.copy(ROOT / "sample_models" / "tumours" / "xgboost.json", folder / "model.json")
    shutil.copy(ROOT / "sample_models" / "tumours" / "data.parquet", folder / "data.parquet")
    return folder, environment


@pytest.mark.parametrize("command", [each for each in commands(PAGE) if "assay.py" in each])
def test_a_command_verifies(command: str, sent: tuple[Path, dict[str, str]]) -> None:
    folder, environment = sent
    done(["bash", "-euo", "pipefail", "-c", f"{command} | tail -1 | grep -x Verified."], folder, environment)
