"""Error answers of the model service."""

from collections.abc import Mapping

__all__ = ["ApiError"]


class ApiError(Exception):
    """`detail` is the body: a dictionary as it is, a text that begins with "<" as HTML, anything
    else inside `{"detail": ...}`.
    """

    def __init__(self, status: int, detail: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
