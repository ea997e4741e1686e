"""How Telegram says no."""

__all__ = ["ApiError", "bad_request", "forbidden"]


class ApiError(Exception):
    """An answer with `ok: false`. `parameters` is the answer's ResponseParameters."""

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
