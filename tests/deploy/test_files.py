"""The files in deploy/ are what they say: complete, accepted by what reads them, and in step with each other."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from access import settings
from core.errors import UserFacingError
from tests.deploy.house import DEPLOY, ROOT
from tests.test_architecture import MAY_IMPORT

UNIT = DEPLOY / "assay@.service"
CONTAINER = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
EXAMPLE = (DEPLOY / "assay.example.toml").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
SECRET = "replace this by a secret of your own"


def read(text: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> settings.Settings:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("ASSAY_CONFIG", str(path))
    return settings.settings()


def test_the_example_is_refused_until_its_secret_is_filled_in(tmp_path, monkeypatch):
    with pytest.raises(UserFacingError, match="cookie_secret"):
        read(EXAMPLE, tmp_path / "as-it-is.toml", monkeypatch)
    filled = EXAMPLE.replace(SECRET, "yqX3uJ0wPz8VtR5nLk2HdGm7BcFs1AeZ9oQiWxT4YhU")
    assert read(filled, tmp_path / "filled.toml", monkeypatch).roles.values["analyst"] == ("assay-analyst",)


def test_what_the_example_says_is_so_anyway_is_so(tmp_path, monkeypatch):
    """Every line that is commented out, taken in: accepted, and where it names a default, the default."""
    filled = EXAMPLE.replace(SECRET, "yqX3uJ0wPz8VtR5nLk2HdGm7BcFs1AeZ9oQiWxT4YhU")
    everything = re.sub(r"^# (?=\w+ = )", "", filled, flags=re.MULTILINE)
    plain, full = (read(text, tmp_path / f"{len(text)}.toml", monkeypatch) for text in (filled, everything))
    assert full.sessions == plain.sessions
    assert full.limits == plain.limits
    assert (full.alerts.refusals, full.alerts.uploads, full.alerts.exports, full.alerts.seconds) == (
        plain.alerts.refusals, plain.alerts.uploads, plain.alerts.exports, plain.alerts.seconds,
    )  # fmt: skip
    assert set(tomllib.loads(everything)) == set(settings._TABLES)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="this machine has no systemd")
def test_systemd_takes_the_unit_and_calls_it_well_fenced(tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/assay/.venv/bin/streamlit", sys.executable))
    taken = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (taken.returncode, taken.stderr) == (0, "")
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(unit)]  # 2.0 of 10
    assert subprocess.run(command, capture_output=True, text=True).returncode == 0


def test_the_unit_leaves_what_the_workers_fence_needs():
    said = UNIT.read_text(encoding="utf-8")
    for needed in ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp", "capset"):
        assert needed in said
    set_ = re.findall(r"^(\w+)=", said, re.MULTILINE)
    assert "MemoryDenyWriteExecute" not in set_
    assert "ProcSubset" not in set_
    assert "OOMPolicy=continue" in said


def test_the_container_holds_every_room_and_nothing_that_is_not_there():
    sources = [word for line in re.findall(r"^COPY (.+)$", CONTAINER, re.MULTILINE) for word in shlex.split(line)[:-1]]
    assert [each for each in sources if not (ROOT / each).exists()] == []
    assert {each for each in MAY_IMPORT if (ROOT / each).is_dir()} <= set(sources)


def test_the_containers_base_is_named_and_it_runs_as_nobody_special():
    bases = re.findall(r"^FROM (\S+)", CONTAINER, re.MULTILINE)
    assert bases
    assert all(":" in each and not each.endswith(":latest") for each in bases)
    assert "3.11" in bases[0]
    assert CONTAINER.rindex("\nUSER assay") < CONTAINER.rindex("\nCMD ")
    assert CONTAINER.index("grep '^torch=='") < CONTAINER.index("-r requirements.txt")


def test_no_secret_is_in_the_container():
    assert not re.search(r"(?i)(secret|password|token)\s*=", re.sub(r"^#.*$", "", CONTAINER, flags=re.MULTILINE))


def test_one_set_of_paths():
    """The page, the unit, the environment and the container speak of the same files."""
    environment = (DEPLOY / "environment").read_text(encoding="utf-8")
    home, keys, config = (re.search(rf"^{name}=(\S+)", environment, re.MULTILINE)[1] for name in
                          ("ASSAY_HOME", "ASSAY_KEYS", "ASSAY_CONFIG"))  # fmt: skip
    assert f"ASSAY_HOME={home}" in CONTAINER
    assert f"ASSAY_KEYS={keys}" in CONTAINER
    state = re.search(r"^StateDirectory=(.+)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)[1].split()
    assert {Path(home).parent.name, Path(keys).parent.name} == set(state)
    assert config in PAGE
    assert "EnvironmentFile=/etc/assay/environment" in UNIT.read_text(encoding="utf-8")
    assert "/etc/assay/environment" in PAGE


def test_the_page_names_files_that_there_are_and_all_of_them():
    named = set(re.findall(r"deploy/([\w@.-]+\w)", PAGE))
    assert named == {path.name for path in DEPLOY.iterdir()}
