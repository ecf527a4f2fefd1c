"""Assay does not start where people could get in who should not: one sentence, and an exit status."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECRET = "kN3vQ8zR1tY6wB4mX9cL2pH7sD5fG0jA"


def config(folder: Path, redirect: str = "https://assay.example/oauth2callback", secret: str = SECRET) -> Path:
    path = folder / "assay.toml"
    path.write_text(
        f'[auth]\nredirect_uri = "{redirect}"\ncookie_secret = "{secret}"\n'
        '[auth.company]\nclient_id = "a"\nclient_secret = "b"\nserver_metadata_url = "https://provider.example/x"\n'
        '[roles]\nanalyst = ["a"]\n',
        encoding="utf-8",
    )
    path.chmod(0o600)
    return path


def start(folder: Path, settings: Sequence[str] = (), named: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What comes of starting it with Streamlit's settings and the settings file of that name."""
    env = {
        "PATH": "/usr/bin:/bin",
        "ASSAY_HOME": str(folder / "home"),
        **({"ASSAY_CONFIG": str(named)} if named else {}),
    }
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true", "--server.port", "0"]
    return subprocess.run([*command, *settings], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


def refused(done: subprocess.CompletedProcess[str], why: str) -> bool:
    """Whether it ended with one line that says why, and nothing else."""
    said = [line for line in done.stderr.splitlines() if line.startswith("Assay does not run like this.")]
    return done.returncode == 1 and len(said) == 1 and why in said[0] and "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (["--server.address", "0.0.0.0"], "0.0.0.0"),
        (["--server.trustedUserHeaders", '{"X-User": "email"}'], "trustedUserHeaders"),
    ],
)
def test_without_sign_in(tmp_path, settings, why):
    assert refused(start(tmp_path, settings), why)


def test_with_sign_in(tmp_path):
    assert refused(start(tmp_path, named=config(tmp_path, secret="0123456789")), "cookie_secret")
    below = config(tmp_path, redirect="https://example.org/assay/oauth2callback")
    assert refused(start(tmp_path, named=below), "below a path")
    assert refused(start(tmp_path, ["--server.baseUrlPath", "assay"], config(tmp_path)), "below a path")


def test_another_server_that_does_not_know_its_address_refuses_by_request_instead(tmp_path):
    """uvicorn listens where it is told; the app sees the requests only. tests/ui/test_door.py has those."""
    env = {"PATH": "/usr/bin:/bin", "ASSAY_HOME": str(tmp_path / "home")}
    look = "import app; print([each.cls.__name__ for each in app.app._user_middleware])"
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert "['Headers', 'Loopback', 'Root']" in done.stdout
    env["ASSAY_CONFIG"] = str(config(tmp_path))
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert "['Headers', 'Door', 'Root']" in done.stdout
