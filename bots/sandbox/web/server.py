"""The page's server on loopback: its files, its websocket, uploads, and the files of the chats."""

import asyncio
import contextlib
import mimetypes
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from bots.sandbox.stand_in import Json
from bots.sandbox.web.event_log import EventLog, SubscriberTooSlowError
from bots.sandbox.web.protocol import ACTION_DECODER, MAX_ACTION_BYTES, Action
from bots.sandbox.web.security import AccessGuard
from core.bounded_dict import BoundedDict

PAGE_FOLDER = Path(__file__).parent.parent / "page"
mimetypes.add_type("image/webp", ".webp")  # not known to every Python
MAX_UPLOAD_BYTES = 20 * 1024 * 1024
MAX_UPLOADS = 8
MAX_CONNECTIONS = 16
HEARTBEAT_SECONDS = 20.0
BATCH_SECONDS = 0.03
"""Events within this time travel together."""
SHUTDOWN_TIMEOUT_SECONDS = 0.2
MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
SAFE_IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
NO_ACCESS = (
    "This address has been used already. Open the address that the sandbox printed last: press Enter in its terminal "
    "for a new one."
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class ChatFile:
    """A file of a chat, for download."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Upload:
    name: str
    content: bytes
    media_type: str


class Uploads:
    """Files that the page has sent and no action has used yet."""

    def __init__(self) -> None:
        self._files: BoundedDict[str, Upload] = BoundedDict(MAX_UPLOADS)

    def add(self, upload: Upload) -> str:
        upload_id = secrets.token_urlsafe(16)
        self._files[upload_id] = upload
        return upload_id

    def take(self, upload_id: str) -> Upload:
        """Raises `ValueError` if there is no such upload."""
        upload = self._files.pop(upload_id, None)
        if upload is None:
            raise ValueError("The file is no longer here. Choose it again.")
        return upload


class PageServer:
    """`perform` carries out an action and returns its result, or raises `ValueError` with a text for the user.
    `find_file` returns a file of the platform `telegram` or `discord` by its ID.
    """

    def __init__(
        self,
        log: EventLog,
        uploads: Uploads,
        perform: Callable[[Action], Awaitable[Any]],
        find_file: Callable[[str, str], ChatFile | None],
    ) -> None:
        self.guard = AccessGuard()
        self._log = log
        self._uploads = uploads
        self._perform = perform
        self._find_file = find_file
        self._runner: web.AppRunner | None = None
        self._sockets: set[web.WebSocketResponse] = set()

    async def start(self, port: int = 0) -> None:
        """Serve on 127.0.0.1. Raises `OSError` if the port is taken."""
        app = web.Application(client_max_size=MAX_UPLOAD_BYTES, middlewares=[self._guarded])
        app.router.add_get("/", self._serve_index)
        app.router.add_get("/page/{path:.+}", self._serve_static)
        app.router.add_get("/socket", self._serve_socket)
        app.router.add_post("/uploads", self._receive_upload)
        app.router.add_get("/files/{platform}/{id}", self._serve_file)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.guard.port = self._runner.addresses[0][1]

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        return [] if self._runner is None else [(host, port) for host, port, *_ in self._runner.addresses]

    async def close(self) -> None:
        for socket in list(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY)
        if self._runner is not None:
            await self._runner.cleanup()

    # -- access

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.host if self.guard.has_own_host(request) else ""
        headers = self.guard.headers(host)
        try:
            response = await self._authorised(request, handler) if host else _refusal(421, "Wrong host.")
        except web.HTTPException as error:
            response = _refusal(error.status, error.reason)
        if not response.prepared:
            for name, value in headers.items():
                response.headers.setdefault(name, value)
        return response

    async def _authorised(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/" and "token" in request.query:
            return self._redeem(request)
        if not self.guard.has_session(request):
            return _refusal(403, NO_ACCESS)
        if (request.method != "GET" or request.path == "/socket") and not self.guard.has_own_origin(request):
            return _refusal(403, "Wrong origin.")
        return await handler(request)

    def _redeem(self, request: web.Request) -> web.Response:
        session = self.guard.redeem(request.query["token"])
        if session is None and not self.guard.has_session(request):
            return _refusal(403, NO_ACCESS)
        response = web.Response(status=303, headers={"Location": "/"})
        if session is not None:
            response.set_cookie(self.guard.cookie_name, session, httponly=True, samesite="Strict", path="/")
        return response

    # -- files

    async def _serve_index(self, _request: web.Request) -> web.StreamResponse:
        return await _static_response("index.html")

    async def _serve_static(self, request: web.Request) -> web.StreamResponse:
        return await _static_response(request.match_info["path"])

    async def _receive_upload(self, request: web.Request) -> web.Response:
        name = Path(request.query.get("name", "")).name[:200] or "file"
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        upload_id = self._uploads.add(Upload(name, await request.read(), media_type))
        return web.json_response({"upload": upload_id})

    async def _serve_file(self, request: web.Request) -> web.Response:
        file = self._find_file(request.match_info["platform"], request.match_info["id"])
        if file is None:
            return _refusal(404, "There is no such file.")
        media_type = mimetypes.guess_type(file.name)[0]
        response = web.Response(body=file.content, content_type="application/octet-stream")
        if media_type in SAFE_IMAGE_TYPES:
            response.content_type = media_type
        else:
            name = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "_" for char in file.name)
            response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        return response

    # -- websocket

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        if len(self._sockets) >= MAX_CONNECTIONS:
            return _refusal(503, "The page is open too often.")
        socket = web.WebSocketResponse(max_msg_size=MAX_ACTION_BYTES, heartbeat=HEARTBEAT_SECONDS)
        await socket.prepare(request)
        self._sockets.add(socket)
        since = request.query.get("since", "0")
        first = int(since) if since.isascii() and since.isdigit() and len(since) < 16 else 0
        sender = None
        try:
            with self._log.subscribe() as batches:
                replay = self._log.replay(request.query.get("epoch", ""), first)
                await self._send(socket, replay, is_replay=True)
                sender = asyncio.create_task(self._send_events(socket, batches))
                await self._read_actions(socket)
        finally:
            self._sockets.discard(socket)
            if sender is not None:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
        return socket

    async def _send(self, socket: web.WebSocketResponse, events: list[Json], *, is_replay: bool = False) -> None:
        frame: Json = {"events": events, "epoch": self._log.epoch}
        if is_replay:
            frame["is_replay"] = True
        with contextlib.suppress(ConnectionError):
            await socket.send_str(msgspec.json.encode(frame).decode())

    async def _send_events(self, socket: web.WebSocketResponse, batches: AsyncIterator[list[Json]]) -> None:
        try:
            async for batch in batches:
                await self._send(socket, batch)
                await asyncio.sleep(BATCH_SECONDS)
        except SubscriberTooSlowError:
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)

    async def _read_actions(self, socket: web.WebSocketResponse) -> None:
        async with asyncio.TaskGroup() as tasks:
            async for frame in socket:
                if frame.type is not WSMsgType.TEXT:
                    await socket.close(code=WSCloseCode.UNSUPPORTED_DATA)
                    break
                try:
                    action = ACTION_DECODER.decode(frame.data)
                except msgspec.MsgspecError:
                    await socket.close(code=WSCloseCode.POLICY_VIOLATION)
                    break
                # Actions may wait for the bot, such as for choices, so the next one does not wait for them.
                tasks.create_task(self._answer(socket, action))

    async def _answer(self, socket: web.WebSocketResponse, action: Action) -> None:
        try:
            reply: Json = {"reply": action.id, "result": await self._perform(action)}
        except ValueError as error:
            reply = {"reply": action.id, "error": str(error)}
        except TimeoutError:
            reply = {"reply": action.id, "error": "The bot did not answer in time."}
        with contextlib.suppress(ConnectionError):
            await socket.send_str(msgspec.json.encode(reply).decode())


async def _static_response(path: str) -> web.Response:
    file = PAGE_FOLDER / path
    media_type = MEDIA_TYPES.get(file.suffix)
    try:
        exists = file.resolve().is_relative_to(PAGE_FOLDER.resolve()) and file.is_file()
    except (OSError, ValueError):  # no file can have such a name
        exists = False
    if media_type is None or not exists:
        return _refusal(404, "There is no such file.")
    body = await asyncio.to_thread(file.read_bytes)
    return web.Response(body=body, content_type=media_type, charset="utf-8")


def _refusal(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text)
