"""Where people of a scenario are: folders of their own, in which they give commands without a network."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pypdfium2

ROOT = Path(__file__).parents[2]
_OFFLINE = """
import runpy, socket, sys

def refuse(self, address):
    if self.family != socket.AF_UNIX:
        sys.exit(f"asked the network for {address}")
    return connect(self, address)

connect = socket.socket.connect
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = lambda *asked, **_: sys.exit(f"asked the network for {asked}")
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition('/')[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True)
class Place:
    """A folder of somebody's own; nothing is known there at first."""

    folder: Path

    def assay(self, *arguments: str, status: int = 0) -> str:
        """Runs a command, which must end like that; what it printed, errors too."""
        done = subprocess.run(
            [sys.executable, "-c", _OFFLINE, str(ROOT / "assay.py"), *arguments],
            cwd=self.folder,
            env=os.environ | {"ASSAY_HOME": str(self.folder / "home")},
            capture_output=True,
            text=True,
        )
        told = done.stdout + done.stderr
        assert done.returncode == status, told
        return told

    def take(self, *files: Path) -> None:
        """Copies files here, as one is sent them."""
        for file in files:
            (self.folder / file.name).write_bytes(file.read_bytes())


def text_of(pdf: Path) -> str:
    """What a PDF says, in one line; words that were broken to fit are whole again."""
    with pypdfium2.PdfDocument(pdf) as document:
        said = " ".join(page.get_textpage().get_text_bounded() for page in document)
    return re.sub(r"\s+", " ", said.replace("\u200b", "").replace("\ufffe", "-").replace("\u00a0", " "))
