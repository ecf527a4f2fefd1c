"""The WebSocket of an open page.

It lives no longer than the sign-in that opened it, and what the server says on it is kept in mind.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from google.protobuf.message import DecodeError
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from core.errors import UserFacingError

SIGNED_OUT = 4401  # the code that a WebSocket is closed with when its sign-in has ended
BROKEN = 1011
LOOK_EVERY = 5.0  # seconds between two looks at a sign-in whose page is at rest

_ADDRESS = re.compile(rb"/media/([0-9a-f]{32})")
_MOST = 200_000
_ACTS = ("rerun_script", "file_urls_request", "stop_script")  # what a browser sends only when a person acts


class Told:
    """What the server told whom: the ids of page sessions and the addresses of media, by sign-in.

    Streamlit names media by their content and takes a page session over from whoever knows its id; here both are good
    for the sign-in that they were told to and for no other. The oldest are forgotten.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def tell(self, session: str, thing: str) -> None:
        """Keeps in mind that the sign-in was told of it."""
        self._known[session, thing] = None
        self._known.move_to_end((session, thing))
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def knows(self, session: str, thing: str) -> bool:
        """Whether that sign-in was told of it."""
        return (session, thing) in self._known


class Line:
    """One WebSocket of one sign-in. `live(used)` says whether that goes on; `used`: the person did something."""

    def __init__(self, session: str, told: Told, live: Callable[[bool], Awaitable[bool]]) -> None:
        self._session = session
        self._told = told
        self._live = live
        self._over = False
        self._named = False

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the app serve the WebSocket until either ends it. Every message from the browser is a run of a page."""

        async def inward() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and not await self._goes_on(send, _is_used(message)):
                return {"type": "websocket.disconnect", "code": SIGNED_OUT}
            return message

        async def outward(message: Message) -> None:
            if self._over:
                return
            self._listen(message)
            self._over = message["type"] == "websocket.close"
            await send(message)

        watch = asyncio.create_task(self._watch(send))
        try:
            await app(scope, inward, outward)
        finally:
            self._over = True
            watch.cancel()

    async def _watch(self, send: Send) -> None:
        while not self._over:
            await asyncio.sleep(LOOK_EVERY)
            await self._goes_on(send, used=False)

    async def _goes_on(self, send: Send, used: bool) -> bool:
        """Looks at the sign-in, and closes the WebSocket where it has ended or cannot be looked at."""
        try:
            code = 0 if await self._live(used) else SIGNED_OUT
        except UserFacingError:
            code = BROKEN
        if code and not self._over:
            self._over = True
            await send({"type": "websocket.close", "code": code})
        return not code

    def _listen(self, message: Message) -> None:
        body = message.get("bytes") or b""
        for address in _ADDRESS.findall(body):
            self._told.tell(self._session, address.decode())
        if body and not self._named:
            self._named = self._name(body)

    def _name(self, body: bytes) -> bool:
        """Whether this message said which page session it is; it is among the first."""
        try:
            said = ForwardMsg.FromString(body).new_session.initialize.session_id
        except DecodeError:
            return False
        if said:
            self._told.tell(self._session, said)
        return bool(said)


def _is_used(message: Message) -> bool:
    """Whether a person did something: ran the page, chose a file, stopped what runs.

    A page that runs a part of itself by the clock, and its heartbeat, come without anybody.
    """
    try:
        said = BackMsg.FromString(message.get("bytes") or b"")
    except DecodeError:
        return False
    return said.WhichOneof("type") in _ACTS and not said.rerun_script.is_auto_rerun
