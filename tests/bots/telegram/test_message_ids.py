import pytest
from telegram import Message

from bots.sandbox.stand_in import Json
from bots.telegram.message_ids import ephemeral_key, is_ephemeral_key, message_key, message_parameters
from tests.bots.telegram.payloads import PRIVATE, message


@pytest.mark.parametrize(
    ("fields", "key"), [({}, "7"), ({"ephemeral_message_id": 12}, "e12.345"), ({"ephemeral_message_id": "12"}, "7")]
)
def test_ephemeral_messages_have_keys_of_their_own(fields: Json, key: str) -> None:
    received = Message.de_json(message(PRIVATE, "hello", **fields))
    assert message_key(received, 345) == key
    assert is_ephemeral_key(key) == key.startswith("e")


def test_methods_name_the_message_as_telegram_does() -> None:
    assert message_parameters("7") == ("Message", {"message_id": 7})
    parameters = {"ephemeral_message_id": 12, "receiver_user_id": 345}
    assert message_parameters(ephemeral_key(12, 345)) == ("EphemeralMessage", parameters)


@pytest.mark.parametrize("key", ["", "e12", "e.5", "e12.", "12.5", "xe12.5", "e12.5x", f"e{'1' * 19}.5"])
def test_other_keys_are_no_ephemeral_ones(key: str) -> None:
    assert not is_ephemeral_key(key)
