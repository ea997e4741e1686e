"""Who may use the bot, and who runs it."""

import pytest

from core.store.database import Store
from core.store.grants import Role, grant, is_operator


@pytest.mark.parametrize(
    ("subject", "role", "is_one"),
    [
        ("telegram:person:5", Role.OPERATOR, True),
        ("telegram:person:5", Role.MEMBER, False),
        ("telegram:person:6", Role.OPERATOR, False),
        ("discord:person:5", Role.OPERATOR, False),
    ],
)
async def test_operators_are_people_with_that_role(store: Store, subject: str, role: Role, is_one: bool) -> None:
    await store.write(grant, subject, role, "Ann")
    assert await store.read(is_operator, "telegram", "5") is is_one
