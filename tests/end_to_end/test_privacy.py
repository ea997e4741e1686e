"""A person's data is exported and erased, from the command line and in the chat."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from bots.sandbox.telegram.state import Chat, User
from core.buttons import ButtonAction, encode_action
from core.store.database import Store
from core.store.erasure import finish_erasures
from core.store.schema import metadata
from core.timings import Timings
from tests.end_to_end.chat_with_buttons import NO_OPEN_TURN, PLATFORMS, ChatWithButtons
from tests.end_to_end.command_line import parley
from tests.end_to_end.harness import Harness, bot_texts, running_harness
from tests.end_to_end.test_transfer import files_in
from tests.postgresql import empty_postgresql_url
from tests.waiting import wait_until

SECRETS = ("heron-4711", "walrus-note", "gannet-in-group", "puffin-note", "Annabella")
"""What Ann writes, and her name."""


def all_rows(connection: Connection) -> list[str]:
    return [
        f"{table.name} {tuple(row)!r}" for table in metadata.sorted_tables for row in connection.execute(select(table))
    ]


async def read_rows(url: str) -> list[str]:
    store = Store(url)
    try:
        return await store.read(all_rows)
    finally:
        await store.close()


def file_contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


class Friends:
    """Ann and Bob, each in a private chat and both in a group that shares its conversation."""

    def __init__(self, harness: Harness) -> None:
        self._telegram = harness.telegram
        self.ann = self._telegram.create_user("Annabella", id=712_345_678_901)
        self.bob = self._telegram.create_user("Bob")
        self.ann_chat = self._telegram.open_private_chat(self.ann)
        self.bob_chat = self._telegram.open_private_chat(self.bob)
        self.group = self._telegram.create_supergroup("Friends", self.ann, self.bob)
        self._mention = f"@{self._telegram.bot.username} "

    async def say(self, person: User, chat: Chat, text: str, answer: str) -> None:
        is_question = chat is self.group and not text.startswith("/")
        before = len(bot_texts(self._telegram.messages(chat)))
        await self._telegram.send_message(person, chat, f"{self._mention if is_question else ''}{text}")
        await self._telegram.wait_for(
            lambda: any(answer in seen for seen in bot_texts(self._telegram.messages(chat))[before:]), 30
        )

    async def chat(self) -> None:
        await self.say(self.ann, self.ann_chat, "repeat: heron-4711", "heron-4711")
        await self.say(self.ann, self.ann_chat, "/remember the walrus-note", "number 1")
        await self.say(self.ann, self.ann_chat, "/model phi-4", "phi-4")
        await self.say(self.bob, self.bob_chat, "repeat: bob in private", "bob in private")
        await self.say(self.bob, self.group, "/settings share on", "share")
        await self.say(self.ann, self.group, "repeat: gannet-in-group", "gannet-in-group")
        await self.say(self.ann, self.group, "/remember the puffin-note", "number 1")
        await self.say(self.bob, self.group, "repeat: bob in the group", "bob in the group")


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_forgotten_person_leaves_no_trace(
    harness_folder: Path, tmp_path: Path, engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{harness_folder / 'bot.sqlite3'}" if engine == "sqlite" else empty_postgresql_url()
    async with running_harness(tmp_path, timings=replace(Timings(), trace_search_interval=0.2)) as harness:
        await harness.start(database_url=url, shared_settings="everyone")
        friends = Friends(harness)
        await friends.chat()
        user = str(friends.ann.id)
        before = "".join(await read_rows(url))
        assert all(secret in before for secret in (*SECRETS, user))
        exported = json.loads(await parley("export", f"telegram:person:{user}", DATABASE_URL=url))
        assert all(secret in json.dumps(exported) for secret in SECRETS[:4])
        assert "bob in" not in json.dumps(exported)

        await parley("forget", f"telegram:person:{user}", DATABASE_URL=url)  # while the bot runs

        after = await read_rows(url)
        assert [row for row in after if any(secret in row for secret in (*SECRETS, user))] == []
        assert sum("bob in private" in row for row in after) == 2, "a question and its answer"
        await parley("backup", str(harness_folder / "copy.backup"), DATABASE_URL=url)
        # The bot removes the traces from its file a little later.
        await wait_until(lambda: not any(s.encode() in file_contents(harness_folder) for s in (*SECRETS, user)))
        log = capsys.readouterr().out
        assert [secret for secret in (*SECRETS, user) if secret in log] == []

        await friends.say(friends.bob, friends.group, "repeat: bob goes on", "bob goes on")
        await friends.say(friends.ann, friends.ann_chat, "repeat: a new beginning", "a new beginning")


async def test_lines_of_log_files_stay_until_they_are_blanked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_harness(tmp_path) as harness:
        await harness.start(access="pairing")
        telegram = harness.telegram
        ann, bob = telegram.create_user("Annabella", id=712_345_678_901), telegram.create_user("Bob")
        log = tmp_path / "bot.log"
        log.touch()

        def is_logged(person: User) -> bool:
            with log.open("a") as file:
                file.write(capsys.readouterr().out)
            return f"telegram:person:{person.id}" in log.read_text()

        for person in (ann, bob):
            await telegram.send_message(person, telegram.open_private_chat(person), "heron-4711")
            await wait_until(partial(is_logged, person), 30)
        assert "access.denied" in log.read_text()
        assert "heron-4711" not in log.read_text()

        url, subject = f"sqlite:///{tmp_path / 'parley.sqlite3'}", f"telegram:person:{ann.id}"
        hint = f"parley forget {subject} --log FILE"
        assert hint in await parley("forget", subject, DATABASE_URL=url)
        assert str(ann.id) in log.read_text()
        said = await parley("forget", subject, "--log", str(log), DATABASE_URL=url)
        assert hint not in said
        assert str(ann.id) not in log.read_text()
        assert f"telegram:person:{bob.id}" in log.read_text()


@pytest.fixture
def harness_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@PLATFORMS
async def test_person_exports_and_deletes_their_data(harness: Harness, tmp_path: Path, platform: str) -> None:
    chat = ChatWithButtons(harness, platform, "Annabella")
    other = ChatWithButtons(harness, platform, "Bob")
    await other.ask("repeat: bob stays", "bob stays")
    await chat.ask("repeat: heron-4711", "heron-4711")
    await chat.ask("/remember the walrus-note", ".*number 1.*")
    stored, logged = r"\*?\*?What I store about you.*until you delete them", "My operator decides how long the log"
    await chat.ask("/privacy", f"{stored}.*{logged}.*")
    assert set(chat.buttons()) == {"Export my data", "Delete my data"}
    await chat.press("Export my data")
    await chat.server.wait_for(lambda: files_in(chat), 30)
    exported = files_in(chat)["my-data.json"].decode()
    assert "heron-4711" in exported
    assert "walrus-note" in exported
    assert "bob stays" not in exported
    await harness.wait_until_stored(NO_OPEN_TURN)

    await chat.write("/privacy")
    await chat.server.wait_for(lambda: set(chat.buttons()) == {"Export my data", "Delete my data"}, 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    await chat.press("Delete my data")
    await chat.wait_for("Delete everything that I store about you.*")
    await chat.press("Back")
    await chat.server.wait_for(lambda: "Delete my data" in chat.buttons(), 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    await chat.press("Delete my data")
    await chat.wait_for("Delete everything that I store about you.*")
    await chat.press("Delete everything")
    await chat.wait_for("I have deleted your data.*")
    assert not [text for text in chat.answers if text.startswith("Delete everything")], "the question is gone"

    url = f"sqlite:///{tmp_path / 'parley.sqlite3'}"
    left = "".join(await read_rows(url))
    assert "heron-4711" not in left
    assert "walrus-note" not in left
    store = Store(url)
    assert await store.write(finish_erasures) == 1
    await store.compact()
    rows = await store.read(all_rows)
    await store.close()
    assert [row for row in rows if f":{chat.person.id}" in row] == []
    content = file_contents(tmp_path)
    forms = (f":{chat.person.id}", f'"{chat.person.id}"')
    assert [secret for secret in (*SECRETS, *forms) if secret.encode() in content] == []
    assert b"bob stays" in content
    await chat.ask("repeat: a new beginning", "a new beginning")


@PLATFORMS
async def test_group_refers_to_the_private_chat(harness: Harness, platform: str) -> None:
    group = ChatWithButtons(harness, platform, others=["Bob"])
    await group.ask("repeat: hello", "hello")
    await group.ask("/privacy", ".*send /privacy in a private chat with me.")
    assert not group.buttons()
    for action in (ButtonAction.EXPORT_DATA, ButtonAction.ASK_TO_ERASE, ButtonAction.ERASE_DATA):
        count = len(group.answers)
        await group.forge(encode_action(action, ""))
        await group.server.wait_for(lambda count=count: len(group.answers) > count, 30)
        await group.wait_for("To export or delete your data, send /privacy in a private chat with me.")
