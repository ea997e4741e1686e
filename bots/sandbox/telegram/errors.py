"""Error answers, in the shape and the words of Telegram."""


class ApiError(Exception):
    """An answer with `ok: false`; `parameters` are its ResponseParameters."""

    def __init__(self, status: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.parameters = parameters

    @classmethod
    def too_many_requests(cls, seconds: int) -> "ApiError":
        return cls(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)


def bad_request(description: str, **parameters: int) -> ApiError:
    return ApiError(400, f"Bad Request: {description}", **parameters)


def forbidden(description: str) -> ApiError:
    return ApiError(403, f"Forbidden: {description}")


def not_found(detail: str = "") -> ApiError:
    return ApiError(404, f"Not Found{detail}")
