"""Error answers, in the shape and the words of Discord, with its codes."""

from functools import partial
from typing import Any

from bots.sandbox.stand_in import Json

UNKNOWN_OBJECTS = {
    "channel": (10003, "Unknown Channel"),
    "guild": (10004, "Unknown Guild"),
    "member": (10007, "Unknown Member"),
    "message": (10008, "Unknown Message"),
    "user": (10013, "Unknown User"),
    "webhook": (10015, "Unknown Webhook"),
    "interaction": (10062, "Unknown interaction"),
}


class ApiError(Exception):
    """An error answer. `extra_fields` are added to its body."""

    def __init__(self, status: int, code: int, message: str, **extra_fields: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"code": code, "message": message, **extra_fields}


no_such_route = partial(ApiError, 404, 0, "404: Not Found")
method_not_allowed = partial(ApiError, 405, 0, "405: Method Not Allowed")
missing_access = partial(ApiError, 403, 50001, "Missing Access")
missing_permissions = partial(ApiError, 403, 50013, "Missing Permissions")
archived_thread = partial(ApiError, 400, 50083, "Thread is archived")
unreadable_reference = partial(
    ApiError, 400, 160009, "Cannot reference a message without permission to read message history"
)
age_restricted_reference = partial(ApiError, 400, 160010, "Cannot reference a message of an age-restricted channel")
locked_thread = partial(ApiError, 400, 160005, "This thread is locked")
empty_message = partial(ApiError, 400, 50006, "Cannot send an empty message")


def not_found(object_name: str) -> ApiError:
    """404 for one of `UNKNOWN_OBJECTS`."""
    return ApiError(404, *UNKNOWN_OBJECTS[object_name])


def rate_limited(
    seconds: float, *, code: int = 0, message: str = "You are being rate limited.", is_global: bool = False
) -> ApiError:
    return ApiError(429, code, message, retry_after=round(seconds, 3), **{"global": is_global})


def invalid_form(path: str, code: str, text: str) -> ApiError:
    """400 for the field at `path`, whose names are separated by dots."""
    errors: Json = {"_errors": [{"code": code, "message": text}]}
    for name in reversed(path.split(".")):
        errors = {name: errors}
    return ApiError(400, 50035, "Invalid Form Body", errors=errors)


def legacy_field(name: str) -> ApiError:
    """A field that a message of components V2 cannot have."""
    text = f"The '{name}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
    return invalid_form(name, "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", text)


def bad_choice(path: str, choices: object) -> ApiError:
    return invalid_form(path, "BASE_TYPE_CHOICES", f"Value must be one of {choices}.")
