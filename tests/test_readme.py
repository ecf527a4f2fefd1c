"""What the README and the documentation say to type is typed here, and what they point at is there."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# The pages in docs/bring need the frameworks that they are about: tests/docs/test_bring.py runs them. A signed report
# to check is made by tests/docs/test_verifying.py; what needs no Assay is run by tests/reports/test_standards.py.
TYPED = [path for path in DOCUMENTS if path.parent.name != "bring" and path.name != "verifying.md"]
SHELL = ("bash", "console", "sh", "shell")
FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!\w+:|#)(?P<target>[^)#\s]+)")

# Getting the code, moving about and starting the app: said, not done here.
SAID = re.compile(
    r"(git clone|cd|(source|\.) .venv/bin/activate|(\S*/)?streamlit run app\.py|(\S*/)?uvicorn app:app)\b"
)
MADE = re.compile(r"make\b(?P<rest>.*)")
RUN = re.compile(r"(\S*/)?python3? assay\.py\b(?P<rest>.*)", re.DOTALL)


def blocks(path: Path, *languages: str) -> list[str]:
    """The bodies of the fenced blocks in one of the languages."""
    found = FENCE.finditer(path.read_text(encoding="utf-8"))
    return [match["body"] for match in found if match["language"] in languages]


def commands(path: Path) -> list[str]:
    """What is to be typed, a command each: `$ ` marks it where a block shows output too; comments are left out."""
    typed = []
    for block in blocks(path, *SHELL):
        lines = block.replace("\\\n", " ").splitlines()
        if any(line.startswith("$ ") for line in lines):
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        typed += [re.sub(r"\s+#.*$", "", line).strip() for line in lines if line.strip() and not line.startswith("#")]
    return typed


def workspace(folder: Path) -> dict[str, str]:
    """Makes `folder` look like the repository, so that what is written stays there; the environment for commands."""
    for entry in ROOT.iterdir():
        if not entry.name.startswith(".git"):
            (folder / entry.name).symlink_to(entry)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "ASSAY_HOME": str(folder / "evidence")}


def done(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, f"{command[-1]}\n{result.stdout}{result.stderr}"


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.relative_to(ROOT).as_posix())


@each(TYPED)
def test_commands_do_what_is_said(path, tmp_path):
    environment = workspace(tmp_path)
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for command in commands(path):
        if made := MADE.fullmatch(command):
            wanted = {word for word in shlex.split(made["rest"]) if "=" not in word}
            assert wanted <= targets, command
        elif RUN.match(command):
            done(["bash", "-euo", "pipefail", "-c", command], tmp_path, environment)
        else:
            assert SAID.match(command), f"{command!r} is neither made, run nor said"


@each(TYPED)
def test_snippets_run(path, tmp_path):
    environment = workspace(tmp_path)
    snippets = blocks(path, "python")
    if snippets:
        done([sys.executable, "-c", "\n".join(snippets)], tmp_path, environment)
    for snippet in blocks(path, "toml"):
        tomllib.loads(snippet)


@each(DOCUMENTS)
def test_links_lead_somewhere(path):
    for match in LINK.finditer(path.read_text(encoding="utf-8")):
        assert (path.parent / match["target"]).exists(), match["target"]
