"""Error answers of the model service."""

from collections.abc import Mapping

ERROR_PAGE = """<!DOCTYPE html>
<html><head><title>api.intelligence.io.solutions | {status}: {words}</title></head>
<body><h1>{words}</h1><span>Error code {status}</span><p>cloudflare</p></body></html>
"""
TOO_LARGE_PAGE = """<html><head><title>413 Request Entity Too Large</title></head>
<body><center><h1>413 Request Entity Too Large</h1></center></body></html>"""


class ApiError(Exception):
    """`detail` is the body: a dictionary as it is, a text that begins with "<" as HTML, anything
    else inside `{"detail": ...}`.
    """

    def __init__(self, status: int, detail: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
