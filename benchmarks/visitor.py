"""A person at a browser, without the browser: signs in over HTTP and clicks over Streamlit's own WebSocket messages.

Twenty-five Chromiums would measure themselves on two cores. This asks the server for the same work: the same page runs,
and the same messages come back. What a browser does beside that (fetching the page's files, drawing) is left out.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_XSRF = "_streamlit_xsrf"
_PATIENCE = 900  # seconds for one view, long work included


@dataclass(frozen=True)
class Seen:
    """What one click gave: seconds until the page was drawn, its heading, its charts, and what it complained of."""

    seconds: float
    heading: str
    charts: int
    problems: tuple[str, ...]


class Visitor:
    """One open page: `async with Visitor(address, cookies) as page: await page.view("model", "subject=loans")`."""

    def __init__(self, address: str, cookies: dict[str, str]) -> None:
        self._address = address
        self._cookies = cookies
        self._socket: Any = None

    async def __aenter__(self) -> Self:
        from websockets.asyncio.client import connect

        place = urlsplit(self._address)._replace(scheme="ws", path="/_stcore/stream")
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        self._socket = await connect(
            place.geturl(),
            origin=self._address,
            # Streamlit passes its token for cross-site requests in this header's second place.
            subprotocols=["streamlit", self._cookies[_XSRF]],
            additional_headers={"Cookie": cookies},
            max_size=None,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._socket.close()

    async def view(self, page: str, choices: str = "") -> Seen:
        """Goes to a page with the choices of an address, and waits until all of it is there."""
        from streamlit.proto.BackMsg_pb2 import BackMsg

        asked = BackMsg()
        asked.rerun_script.query_string = choices
        asked.rerun_script.page_name = page
        asked.rerun_script.context_info.url = f"{self._address}/{page}"
        begun = time.perf_counter()
        await self._socket.send(asked.SerializeToString())
        messages = await self._messages()
        return _seen(time.perf_counter() - begun, messages)

    async def _messages(self) -> list[Any]:
        """What the server sends until the script has ended."""
        import asyncio

        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        messages = []
        async with asyncio.timeout(_PATIENCE):
            while True:
                message = ForwardMsg.FromString(await self._socket.recv())
                messages.append(message)
                if message.WhichOneof("type") == "script_finished":
                    if message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                        return messages
                    messages.clear()


def sign_in(address: str, provider: str, name: str) -> dict[str, str]:
    """The cookies of a browser in which `name` has signed in, at a provider that asks for no more than the name."""
    import requests

    with requests.Session() as browser:
        form = browser.get(f"{address}/auth/login?provider={provider}", timeout=30)
        landed = browser.post(form.url, {"sub": name}, timeout=30)
        browser.get(f"{address}/_stcore/health", timeout=30)
        cookies = browser.cookies.get_dict()
    if "assay_session" not in cookies:
        raise RuntimeError(f"{name} could not sign in: {landed.status_code} {landed.text[:500]}")
    return cookies


def begin(address: str) -> dict[str, str]:
    """The cookies of a browser that has opened the app and not signed in."""
    import requests

    answer = requests.get(f"{address}/_stcore/health", timeout=30)
    answer.raise_for_status()
    return answer.cookies.get_dict()


def _seen(seconds: float, messages: list[Any]) -> Seen:
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

    elements = list(_elements(messages))
    problems = list(_problems(elements))
    if messages[-1].script_finished != ForwardMsg.FINISHED_SUCCESSFULLY:
        problems.append("the script did not end as it should")
    headings = [each.heading.body for each in elements if each.WhichOneof("type") == "heading"]
    drawn = [each for each in elements if each.WhichOneof("type") in ("plotly_chart", "imgs")]
    return Seen(seconds, headings[0] if headings else "", len(drawn), tuple(problems))


def _elements(messages: list[Any]) -> Iterator[Any]:
    """What stands on the page at the end: a later element takes the place of an earlier one."""
    standing: dict[tuple[int, ...], Any] = {}
    for message in messages:
        if message.WhichOneof("type") == "delta":
            standing[tuple(message.metadata.delta_path)] = message.delta
    for delta in standing.values():
        if delta.WhichOneof("type") == "new_element":
            yield delta.new_element


def _problems(elements: list[Any]) -> Iterator[str]:
    from streamlit.proto.Alert_pb2 import Alert

    for element in elements:
        kind = element.WhichOneof("type")
        if kind == "exception":
            yield f"{element.exception.type}: {element.exception.message}"
        elif kind == "alert" and element.alert.format == Alert.ERROR:
            yield element.alert.body
