"""What callers and supervisors do with an error follows from its class and failure."""

import pytest

from core.errors import (
    AccessDeniedError,
    ChatMovedError,
    ConfigurationError,
    DamagedStoreError,
    DeliveryFailure,
    MessageLimitError,
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
