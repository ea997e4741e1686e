"""Who gets in, and what the server refuses."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType
from yarl import URL

from bots.sandbox.web.event_log import EventLog
from bots.sandbox.web.protocol import MAX_ACTION_BYTES, Action, KillBot
from bots.sandbox.web.server import MAX_UPLOAD_BYTES, ChatFile, PageServer, Uploads
from core.clock import SystemClock


class Page:
    """A server, and a browser's session with it."""

    def __init__(self) -> None:
        self.log = EventLog(SystemClock())
        self.uploads = Uploads()
        self.actions: list[Action] = []
        self.server = PageServer(self.log, self.uploads, self.perform, self.find_file)
        self.browser = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server.guard.port}"

    async def perform(self, action: Action) -> str:
        if action == KillBot(id=action.id):
            raise ValueError("There is no bot.")
        self.actions.append(action)
        return "done"

    def find_file(self, platform: str, file_id: str) -> ChatFile | None:
        files = {"1": ChatFile("photo.png", b"\x89PNG"), "2": ChatFile('a "<b>.html', b"<script>")}
        return files.get(file_id) if platform == "telegram" else None

    async def enter(self) -> None:
        async with self.browser.get(self.server.guard.address()) as response:
            assert response.status == 200

    async def status(self, path: str, method: str = "GET", **options: Any) -> int:
        async with self.browser.request(method, URL(f"{self.origin}{path}", encoded=True), **options) as response:
            return response.status

    def socket(self, origin: str = "") -> Any:
        return self.browser.ws_connect(f"{self.origin}/socket", headers={"Origin": origin or self.origin})


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    page = Page()
    await page.server.start()
    yield page
    await page.browser.close()
    await page.server.close()


async def test_address_works_once(page: Page) -> None:
    address = page.server.guard.address()
    async with page.browser.get(address) as response:
        assert response.status == 200
        assert response.url.path_qs == "/", "the token does not stay in the address bar"
        assert "Parley sandbox" in await response.text()
    async with aiohttp.ClientSession() as stranger, stranger.get(address, allow_redirects=False) as response:
        assert response.status == 403


async def test_reload_of_a_used_address_still_shows_the_page(page: Page) -> None:
    address = page.server.guard.address()
    for _ in range(2):
        async with page.browser.get(address) as response:
            assert response.status == 200


async def test_new_address_replaces_the_one_before(page: Page) -> None:
    old = page.server.guard.address()
    page.server.guard.address()
    async with page.browser.get(old) as response:
        assert response.status == 403


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/socket", "/files/telegram/1", "/?token=", "/?token=guess"])
async def test_without_the_cookie_there_is_nothing(page: Page, path: str) -> None:
    assert await page.status(path) == 403


async def test_cookie_of_any_bytes_gives_no_access(page: Page) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", page.server.guard.port)
    host, cookie = page.origin.removeprefix("http://"), page.server.guard.cookie_name
    writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}=\xff\r\n\r\n".encode("latin-1"))
    assert b" 403 " in await reader.readline()
    writer.close()


@pytest.mark.parametrize("name", ["%00.js", f"{'a' * 3000}.js"], ids=["NUL", "long"])
async def test_name_that_no_file_can_have_is_not_found(page: Page, name: str) -> None:
    await page.enter()
    assert await page.status(f"/page/{name}") == 404


async def test_uploads_need_the_cookie(page: Page) -> None:
    assert await page.status("/uploads", "POST", data=b"x", headers={"Origin": page.origin}) == 403


async def test_cookie_is_out_of_reach_of_scripts_and_other_sites(page: Page) -> None:
    async with page.browser.get(page.server.guard.address(), allow_redirects=False) as response:
        cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", ""])
async def test_other_hosts_are_refused(page: Page, host: str) -> None:
    await page.enter()
    assert await page.status("/", headers={"Host": host.format(port=page.server.guard.port)}) == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}"])
async def test_other_origins_can_do_nothing(page: Page, origin: str) -> None:
    await page.enter()
    origin = origin.format(port=page.server.guard.port)
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        async with page.socket(origin):
            pass
    assert await page.status("/uploads", "POST", data=b"x", headers={"Origin": origin}) == 403


async def test_socket_without_origin_is_refused(page: Page) -> None:
    await page.enter()
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        async with page.browser.ws_connect(f"{page.origin}/socket"):
            pass


async def test_server_is_on_loopback_only(page: Page) -> None:
    addresses = page.server.addresses
    assert addresses
    assert {host for host, *_ in addresses} == {"127.0.0.1"}


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/page/none.js"])
async def test_policy_allows_only_the_page_itself(page: Page, path: str) -> None:
    await page.enter()
    async with page.browser.get(f"{page.origin}{path}") as response:
        policy = response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        text = await response.text()
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "style=" not in text if path == "/" else True


@pytest.mark.parametrize(
    "path", ["/page/../web/server.py", "/page/..%2fweb%2fserver.py", "/page/..%2f..%2f..%2fdocs%2fimages%2fchats.svg"]
)
async def test_only_files_of_the_page_are_served(page: Page, path: str) -> None:
    await page.enter()
    assert await page.status(path) == 404


async def test_files_of_chats_cannot_run(page: Page) -> None:
    await page.enter()
    async with page.browser.get(f"{page.origin}/files/telegram/1") as response:
        assert response.content_type == "image/png"
    async with page.browser.get(f"{page.origin}/files/telegram/2") as response:
        assert response.content_type == "application/octet-stream"
        assert response.headers["Content-Disposition"] == 'attachment; filename="a___b_.html"'
        assert "sandbox" in response.headers["Content-Security-Policy"]
    assert await page.status("/files/telegram/3") == 404


async def test_actions_are_answered_by_number(page: Page) -> None:
    await page.enter()
    async with page.socket() as socket:
        assert (await socket.receive_json())["events"] == []
        await socket.send_json({"action": "telegram.send", "id": 7, "person": 1, "chat": 2, "text": "hello"})
        assert await socket.receive_json() == {"reply": 7, "result": "done"}
        await socket.send_json({"action": "bot.kill", "id": 8})
        assert await socket.receive_json() == {"reply": 8, "error": "There is no bot."}


async def test_events_reach_the_page(page: Page) -> None:
    await page.enter()
    page.log.add("message", "1", text="earlier")
    async with page.socket() as socket:
        replay = await socket.receive_json()
        page.log.add("message", "2", text="later")
        later = await socket.receive_json()
    assert replay["is_replay"]
    assert [event["text"] for event in (*replay["events"], *later["events"])] == ["earlier", "later"]


@pytest.mark.parametrize(
    "frame",
    [
        "no JSON",
        '{"action": "unknown", "id": 1}',
        '{"action": "bot.kill"}',
        '{"action": "bot.kill", "id": 1, "more": true}',
        '{"action": "telegram.send", "id": 1, "person": "1; DROP", "chat": 1}',
        '{"action": "discord.send", "id": 1, "person": "../..", "channel": "1", "text": ""}',
        '{"action": "telegram.send", "id": 1, "person": 1, "chat": 1, "text": "' + "x" * 4097 + '"}',
    ],
)
async def test_malformed_action_ends_the_connection(page: Page, frame: str) -> None:
    await page.enter()
    async with page.socket() as socket:
        await socket.receive_json()
        await socket.send_str(frame)
        assert (await socket.receive()).type is WSMsgType.CLOSE
    assert not page.actions


async def test_too_large_action_ends_the_connection(page: Page) -> None:
    await page.enter()
    async with page.socket() as socket:
        await socket.receive_json()
        await socket.send_str('{"action": "telegram.stop", "id": 1, "chat": 1, "draft": 1}' + " " * MAX_ACTION_BYTES)
        assert (await socket.receive()).type is WSMsgType.CLOSE
    assert not page.actions


async def test_upload_is_used_once(page: Page) -> None:
    await page.enter()
    headers = {"Origin": page.origin}
    async with page.browser.post(f"{page.origin}/uploads?name=..%2Fnotes.txt", data=b"text", headers=headers) as reply:
        upload_id = (await reply.json())["upload"]
    upload = page.uploads.take(upload_id)
    assert (upload.name, upload.content, upload.media_type) == ("notes.txt", b"text", "text/plain")
    with pytest.raises(ValueError, match="Choose it again"):
        page.uploads.take(upload_id)


async def test_too_large_upload_is_refused(page: Page) -> None:
    await page.enter()
    body = io.BytesIO(b"x" * (MAX_UPLOAD_BYTES + 1))
    assert await page.status("/uploads", "POST", data=body, headers={"Origin": page.origin}) == 413
