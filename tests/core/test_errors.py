"""What callers and supervisors do with an error follows from its class and failure."""

import pytest

from core.errors import (
    RETRYABLE_DELIVERY_FAILURES,
    AccessDeniedError,
    ChatMovedError,
    ConfigurationError,
    DamagedStoreError,
    DeliveryError,
    DeliveryFailure,
    DocumentError,
    DocumentFailure,
    MessageLimitError,
    ModelError,
    ModelFailure,
    ParleyError,
    RichRejectedError,
    StoreError,
    UnavailableError,
)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ParleyError(), 1),
        (ConfigurationError(), 78),
        (UnavailableError(), 69),
        (StoreError(), 69),
        (DamagedStoreError(), 78),
        (AccessDeniedError(), 1),
    ],
)
def test_exit_status_says_whether_a_restart_may_help(error: ParleyError, status: int) -> None:
    assert error.exit_code == status


def test_chat_that_moved_is_gone_under_its_old_id() -> None:
    error = ChatMovedError("-100")
    assert (error.new_chat, error.failure, error.retry_after) == ("-100", DeliveryFailure.GONE, None)
    assert not error.account_wide
    assert not error.is_foreseen


def test_rejected_and_limited_messages_are_not_repeated() -> None:
    assert RichRejectedError("too long").failure is DeliveryFailure.REJECTED
    assert MessageLimitError("no more").failure is DeliveryFailure.REJECTED


def test_requests_are_repeated_unless_the_platform_has_refused_them() -> None:
    refusals = {DeliveryFailure.FORBIDDEN, DeliveryFailure.GONE, DeliveryFailure.REJECTED}
    assert set(RETRYABLE_DELIVERY_FAILURES) == set(DeliveryFailure) - refusals


def test_people_read_the_text_alone() -> None:
    errors = (
        DeliveryError("Text", DeliveryFailure.GONE),
        ModelError("Text", ModelFailure.EMPTY),
        DocumentError("Text", DocumentFailure.EMPTY),
    )
    assert [str(error) for error in errors] == ["Text"] * 3


def test_limit_is_the_window_unless_the_service_has_counted_a_prompt() -> None:
    assert not ModelError("Too long", ModelFailure.OVERFLOW, limit=4096).is_limit_counted
