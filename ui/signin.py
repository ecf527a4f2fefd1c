"""The sign-in page: all that is shown to somebody who is not signed in. No script, and nothing from elsewhere."""

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from pathlib import Path
from urllib.parse import quote

from starlette.responses import HTMLResponse

from access.settings import Provider

_MARK = Path(__file__).with_name("mark.svg").read_text(encoding="utf-8").strip()
_STYLE = """
:root { color-scheme: light dark; --ink: #10151F; --paper: #FFFFFF; --soft: #F4F6F8; --line: #D9DDE3; --main: #0F5C5C;
  --on: #FFFFFF; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #E9ECF1; --paper: #12161D; --soft: #1B212B; --line: #333B48; --main: #5FC2BC; --on: #12161D; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 "Source Sans", system-ui, sans-serif; }
main { max-width: 26rem; margin: min(18vh, 9rem) auto 2rem; padding: 0 1.25rem; }
svg { width: 3rem; height: 3rem; display: block; }
h1 { font-size: 2rem; font-weight: 650; line-height: 1.2; margin: 1.1rem 0 .4rem; }
p { margin: 0 0 1.2rem; }
.why { padding: .7rem .9rem; background: var(--soft); border: 1px solid var(--line); border-radius: .4rem;
  overflow-wrap: anywhere; }
ul { list-style: none; margin: 1.6rem 0; padding: 0; display: grid; gap: .7rem; }
a { display: block; padding: .7rem 1rem; border-radius: .4rem; background: var(--main); color: var(--on);
  font-weight: 600; text-align: center; text-decoration: none; overflow-wrap: anywhere; }
a:hover { filter: brightness(1.08); }
a:focus-visible { outline: 3px solid var(--main); outline-offset: 3px; }
"""
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Sign in · Assay</title>
<link rel="icon" href="data:image/svg+xml,{icon}">
<style>{style}</style>
</head>
<body>
<main>
{mark}
<h1>Sign in to Assay</h1>
<p>Assay explains a model's decisions, attacks them, and writes down what it found.</p>
{why}<ul>
{buttons}
</ul>
</main>
</body>
</html>
"""
_POLICY = "; ".join(
    [
        "default-src 'none'",
        f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)


def page(providers: Iterable[Provider], why: str = "", status: int = 200) -> HTMLResponse:
    """The page with a button for each provider. `why` says what happened to the person's last sign-in."""
    body = _PAGE.format(
        icon=quote(_MARK),
        style=_STYLE,
        mark=_MARK.replace("<svg ", '<svg aria-hidden="true" ', 1),
        why=f'<p class="why" role="status">{escape(why)}</p>\n' if why else "",
        buttons="\n".join(_button(each) for each in providers),
    )
    return HTMLResponse(body, status, {"content-security-policy": _POLICY, "cache-control": "no-store"})


def _button(provider: Provider) -> str:
    address = f"/auth/login?provider={quote(provider.name, safe='')}"
    return f'<li><a href="{address}">Sign in with {escape(provider.title)}</a></li>'
