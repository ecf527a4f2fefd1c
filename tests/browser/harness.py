"""Opening, waiting for, looking at and judging pages of the running app in Chromium."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import axe_playwright_python
from playwright.sync_api import Browser, BrowserContext, Page, Playwright

ROOT = Path(__file__).parents[2]
DESKTOP, PHONE = (1440, 900), (390, 844)
SHADES = ("light", "dark")

_AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_BUSY = "[data-testid=stSpinner], [data-testid=stSkeletonElement], [data-testid=stAppSkeleton], [data-stale=true]"
# At rest: the script has ended and nothing on the page has been waiting for a quarter of a second.
_AT_REST = f"""() => {{
    const app = document.querySelector("[data-testid=stApp]");
    const drawn = document.querySelector("[data-testid=stMain] [data-testid=stElementContainer]");
    const busy = !drawn || app?.dataset.testScriptState !== "notRunning" || document.querySelector("{_BUSY}");
    if (busy) window.restedSince = undefined; else window.restedSince ??= performance.now();
    return !busy && performance.now() - window.restedSince > 250;
}}"""


@contextmanager
def running_app(
    script: Path, home: Path, log: Path, env: Mapping[str, str] | None = None, port: int | None = None
) -> Iterator[str]:
    """The address of `streamlit run script`, with its evidence under `home` and its output in `log`.

    `env` is added to the environment; a free port is taken where none is named.
    """
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless", "true"]
    command += ["--server.address", "127.0.0.1", "--server.port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=script.parent,
            env={**os.environ, "ASSAY_HOME": str(home), **(env or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_for(f"{address}/_stcore/health", process, log)
            yield address
        finally:
            _end(process)


def chromium(playwright: Playwright) -> Browser:
    """The system's Chromium, without a window."""
    path = shutil.which("chromium")
    if path is None:
        raise RuntimeError("Chromium is missing. The browser tests drive it. Run `make browser`.")
    return playwright.chromium.launch(executable_path=path, args=list(_FLAGS))


class Faults(list[str]):
    """What a page complained of while it was open: console errors, uncaught errors, failed requests."""

    def watch(self, context: BrowserContext) -> None:
        context.on("console", lambda said: self.append(f"console: {said.text}") if said.type == "error" else None)
        context.on("weberror", lambda error: self.append(f"uncaught: {error.error}"))
        context.on("response", lambda got: self.append(f"{got.status}: {got.url}") if got.status >= 400 else None)
        # A request is aborted by leaving the page or by turning into a download.
        context.on(
            "requestfailed",
            lambda request: None if "ERR_ABORTED" in (request.failure or "") else self.append(f"failed: {request.url}"),
        )


def visit(page: Page, path: str = "/") -> None:
    """Opens `path` and waits until everything on it is drawn."""
    page.goto(path)
    at_rest(page)


def at_rest(page: Page, timeout: float = 60_000) -> None:
    """Waits until the script has ended and nothing is being waited for; `timeout` in milliseconds."""
    page.evaluate("window.restedSince = undefined")
    page.wait_for_function(_AT_REST, polling=50, timeout=timeout)


def shade(page: Page, name: str) -> None:
    """Draws the page again as a device set to `name`, light or dark, sees it."""
    page.emulate_media(color_scheme=name)
    page.reload()
    at_rest(page)


def axe(page: Page, within: str | None = None) -> list[str]:
    """What axe-core finds wrong on the page, or within the element `within`: a readable line a place."""
    if not page.evaluate("typeof axe !== 'undefined'"):
        page.evaluate(_AXE.read_text(encoding="utf-8"))
    found = page.evaluate("(within) => axe.run(within || document, {resultTypes: ['violations']})", within)
    return [
        f"{violation['id']} ({violation['impact']}): {_one_line(node['html'])}: {_one_line(node['failureSummary'])}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def too_wide(page: Page) -> int:
    """By how many pixels the page has to be scrolled sideways to be read; 0: not at all."""
    main = "document.querySelector('[data-testid=stMain]')"
    return page.evaluate(
        f"Math.max(document.documentElement.scrollWidth - innerWidth, {main}.scrollWidth - {main}.clientWidth, 0)"
    )


def screenshot(page: Page, name: str) -> Path:
    """The whole page, not only what fits the window, as NAME.png in the folder ASSAY_SCREENSHOTS."""
    folder = Path(os.environ.get("ASSAY_SCREENSHOTS") or Path(tempfile.gettempdir(), "assay-screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    size = page.viewport_size
    height = page.evaluate("document.querySelector('[data-testid=stMain]')?.scrollHeight ?? innerHeight")
    # Streamlit scrolls inside the page, so the window has to be as high as its content.
    page.set_viewport_size({**size, "height": max(size["height"], height)})
    page.wait_for_timeout(300)
    path = folder / f"{name}.png"
    page.screenshot(path=path)
    page.set_viewport_size(size)
    return path


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 240 else f"{line[:237]}..."


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(address: str, process: subprocess.Popen, log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"the app did not start:\n{log.read_text()[-4000:]}")


def _end(process: subprocess.Popen) -> None:
    """Ends the app and its workers: politely, then for good."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(timeout=10)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
