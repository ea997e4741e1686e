"""How Telegram says no."""

__all__ = ["Refusal", "bad", "forbidden"]


class Refusal(Exception):  # noqa: N818 (an answer, not an error)
    """An answer with `ok: false`. `parameters` is the answer's ResponseParameters."""

    def __init__(self, status: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.parameters = parameters

    @classmethod
    def flood(cls, seconds: int) -> "Refusal":
        return cls(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)


def bad(description: str, **parameters: int) -> Refusal:
    return Refusal(400, f"Bad Request: {description}", **parameters)


def forbidden(description: str) -> Refusal:
    return Refusal(403, f"Forbidden: {description}")
