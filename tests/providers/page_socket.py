"""A page of the app over its own WebSocket, as Streamlit's browser part opens it: who is let in, and what it shows."""

from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from ui.door import HEALTH, STREAM

XSRF = "_streamlit_xsrf"


@dataclass(frozen=True)
class Drawn:
    """One run of a page: the kinds of its elements, all its text as it was sent, and the id of the page session."""

    kinds: frozenset[str]
    text: str
    session: str


class PageSocket:
    """`with PageSocket(client) as page: page.run("model")`; `taking_up` is the id of a page session to go on with.

    Raises websockets' InvalidStatus where the handshake is refused.
    """

    def __init__(self, client: httpx.Client, taking_up: str = "", origin: str = "", token: str = "") -> None:
        client.get(HEALTH)  # gives the token that Streamlit wants back
        self.token = token or client.cookies[XSRF]
        address = str(client.base_url).rstrip("/")
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        self._socket = connect(
            f"ws{address.removeprefix('http')}{STREAM}",
            origin=origin or address,
            subprotocols=["streamlit", self.token, *([taking_up] if taking_up else [])],
            additional_headers={"Cookie": cookies},
            max_size=None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def run(self, slug: str, choices: str = "", patience: float = 90) -> Drawn:
        """Draws a page, or the one that it leads on to, until its script has ended; `patience` in seconds a message."""
        asked = BackMsg()
        asked.rerun_script.page_name = slug
        asked.rerun_script.query_string = choices
        self._socket.send(asked.SerializeToString())
        kinds, text, session = set(), [], ""
        while True:
            body = self._socket.recv(patience)
            message = ForwardMsg.FromString(body)
            session = session or message.new_session.initialize.session_id
            kinds.add(message.delta.new_element.WhichOneof("type") or "")
            text.append(body.decode("utf-8", "ignore"))
            led_on = message.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN
            if message.WhichOneof("type") == "script_finished" and not led_on:
                return Drawn(frozenset(kinds), "\n".join(text), session)
