"""Who may use the page: browsers on this machine that were opened with its address.

The address holds a token that works once and is exchanged for a cookie. Requests must name the server's own host, which
stops other sites that resolve to this machine (DNS rebinding), and those that act must come from the page's own origin.
"""

import hmac
import secrets
from dataclasses import dataclass, field

from aiohttp import web

COOKIE_NAME = "parley_sandbox"
LOOPBACK_HOSTS = ("127.0.0.1", "localhost")


@dataclass(slots=True)
class AccessGuard:
    """`port` is the server's."""

    port: int = 0
    _token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    _session: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def address(self) -> str:
        """The page's address, with a new token. Earlier ones no longer work."""
        self._token = secrets.token_urlsafe(32)
        return f"http://127.0.0.1:{self.port}/?token={self._token}"

    def redeem(self, token: str) -> str | None:
        """The session for the cookie, in exchange for the token, which then no longer works."""
        if not self._token or not hmac.compare_digest(token.encode(), self._token.encode()):
            return None
        self._token = ""
        return self._session

    def has_session(self, request: web.Request) -> bool:
        cookie = request.cookies.get(self.cookie_name, "")
        return hmac.compare_digest(cookie.encode(errors="surrogateescape"), self._session.encode())

    @property
    def cookie_name(self) -> str:
        """Browsers send cookies to all ports of a host, so that each server needs its own name."""
        return f"{COOKIE_NAME}_{self.port}"

    def has_own_host(self, request: web.Request) -> bool:
        return request.headers.getall("Host", []) in [[f"{host}:{self.port}"] for host in LOOPBACK_HOSTS]

    def has_own_origin(self, request: web.Request) -> bool:
        """Whether a browser says that the page itself sends the request."""
        return request.headers.getall("Origin", []) == [f"http://{request.host}"]

    def headers(self, host: str) -> dict[str, str]:
        """For every response: nothing but the page's own files, and no frames, forms or HTML from strings."""
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
            f"connect-src 'self' ws://{host}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )
        return {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
            "Cache-Control": "no-store",
        }
