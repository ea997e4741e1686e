"""Pictures: what a model sees of them, and what people are offered if it cannot see."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bots.sandbox.discord.state import Message as DiscordMessage
from bots.sandbox.model import VISION_MODEL, faults
from bots.sandbox.telegram.state import Chat
from core.api.catalogue import Model
from tests import api_specs
from tests.end_to_end.chat_with_buttons import NO_OPEN_TURN, PLATFORMS, ChatWithButtons
from tests.end_to_end.harness import Harness, bot_texts, complete_texts, running_harness
from tests.end_to_end.spec_checks import spec_violations
from tests.images import make_image

MODEL = "meta-llama/Llama-3.3-70B-Instruct"
PHOTO = make_image(640, 480, "JPEG")
SEEN = "I see 1 picture: image/jpeg 640x480."


@pytest.fixture
async def seeing(tmp_path: Path) -> AsyncIterator[Harness]:
    """The bot with a default model that has vision."""
    async with running_harness(tmp_path) as harness:
        harness.model.add_model(VISION_MODEL)
        await harness.start(default_model=VISION_MODEL.id)
        yield harness


@pytest.fixture
async def blind(tmp_path: Path) -> AsyncIterator[Harness]:
    """The bot with a default model without vision, and one that has it."""
    async with running_harness(tmp_path) as harness:
        harness.model.add_model(VISION_MODEL)
        await harness.start()
        yield harness


async def telegram_chat(harness: Harness) -> tuple[Any, Chat]:
    ann = harness.telegram.create_user("Ann")
    return ann, harness.telegram.open_private_chat(ann)


async def wait_for_telegram(harness: Harness, chat: Chat, text: str) -> None:
    telegram = harness.telegram
    await telegram.wait_for(lambda: any(text in t for t in complete_texts(telegram.messages(chat))), 20)


def last_question(harness: Harness) -> Any:
    return harness.model.requests[-1].body["messages"][-1]["content"]


def button(message: Any, label: str) -> Any:
    """The button of a message of either platform whose label begins so."""
    if isinstance(message, DiscordMessage):
        buttons = message.items
        return next(b["custom_id"] for b in buttons if b["label"].startswith(label))
    return next(b["callback_data"] for b in message.buttons if b["text"].startswith(label))


async def test_photo_reaches_model_on_telegram(seeing: Harness) -> None:
    ann, chat = await telegram_chat(seeing)
    await seeing.telegram.send_photo(ann, chat, PHOTO, caption="repeat: A garden.")
    await wait_for_telegram(seeing, chat, "A garden.")
    assert f"{SEEN}\n\nA garden." in bot_texts(seeing.telegram.messages(chat))
    text, image = last_question(seeing)
    assert text == {"type": "text", "text": "repeat: A garden."}
    assert image["image_url"]["url"].startswith("data:image/jpeg;base64,")
    api_specs.require_specs()
    assert not spec_violations(seeing)


async def test_token_never_leaves_for_model(seeing: Harness) -> None:
    ann, chat = await telegram_chat(seeing)
    await seeing.telegram.send_photo(ann, chat, PHOTO)
    await wait_for_telegram(seeing, chat, SEEN)
    sent = json.dumps([request.body for request in seeing.model.requests])
    assert seeing.telegram.token.partition(":")[2] not in sent
    assert "http" not in str(last_question(seeing))


async def test_photo_reaches_model_on_discord(seeing: Harness) -> None:
    discord = seeing.discord
    ann, bob = discord.create_user("Ann"), discord.create_user("Bob")
    channel = discord.create_channel(discord.create_guild("Home", ann, bob), "general")
    files = {"a.png": make_image(300, 200), "b.webp": make_image(200, 300, "WEBP")}
    await discord.send_files(ann, channel, files, "image/png", text=f"{discord.mention} which is larger?")
    expected = "I see 2 pictures: image/jpeg 300x200, image/jpeg 200x300."
    await discord.wait_for(lambda: any(expected in t for t in bot_texts(discord.messages(channel))), 20)
    file = discord.upload_attachment("photo.jpg", PHOTO, "image/jpeg")
    await discord.use_command(bob, channel, "ask", prompt="repeat: That.", file=file)
    await discord.wait_for(lambda: any(f"{SEEN}\n\nThat." in t for t in bot_texts(discord.messages(channel))), 20)
    api_specs.require_specs()
    assert not spec_violations(seeing)


async def test_album_is_one_question(seeing: Harness) -> None:
    ann, chat = await telegram_chat(seeing)
    photos = [make_image(100 + number, 100, "JPEG") for number in range(3)]
    await seeing.telegram.send_album(ann, chat, photos, caption="Compare them.")
    expected = "I see 3 pictures: image/jpeg 100x100, image/jpeg 101x100, image/jpeg 102x100."
    await wait_for_telegram(seeing, chat, expected)
    assert len(seeing.model.requests) == 1


@pytest.mark.parametrize("command", ["/ask", "/new"])
async def test_album_with_a_command_is_one_question(seeing: Harness, command: str) -> None:
    ann, chat = await telegram_chat(seeing)
    photos = [make_image(100 + number, 100, "JPEG") for number in range(3)]
    await seeing.telegram.send_album(ann, chat, photos, caption=f"{command} Compare them.")
    expected = "I see 3 pictures: image/jpeg 100x100, image/jpeg 101x100, image/jpeg 102x100."
    await wait_for_telegram(seeing, chat, expected)
    assert len(seeing.model.requests) == 1


async def test_number_of_pictures_is_limited(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness:
        harness.model.add_model(VISION_MODEL)
        await harness.start(default_model=VISION_MODEL.id, max_images=2, image_side=200)
        ann, chat = await telegram_chat(harness)
        await harness.telegram.send_album(ann, chat, [make_image(400, 100, "JPEG")] * 3)
        await wait_for_telegram(harness, chat, "I see 2 pictures: image/jpeg 200x50, image/jpeg 200x50.")
        await wait_for_telegram(harness, chat, "I looked at only the first 2 pictures.")


async def test_stickers_animations_and_picture_files_are_seen(seeing: Harness) -> None:
    telegram, discord = seeing.telegram, seeing.discord
    ann, chat = await telegram_chat(seeing)
    await telegram.send_sticker(ann, chat, make_image(512, 512, "WEBP"))
    await wait_for_telegram(seeing, chat, "image/jpeg 512x512")
    assert last_question(seeing)[0]["text"] == "[sticker 🙂]"
    await telegram.send_sticker(ann, chat, b"\x1a\x45\xdf\xa3", thumbnail=make_image(320, 300, "WEBP"))
    await wait_for_telegram(seeing, chat, "image/jpeg 320x300")
    await telegram.send_animation(ann, chat, make_image(320, 180, "JPEG"), caption="What happens?")
    await wait_for_telegram(seeing, chat, "image/jpeg 320x180")
    await telegram.send_document(ann, chat, "scan.bin", make_image(333, 222, "GIF"))
    await wait_for_telegram(seeing, chat, "image/jpeg 333x222")
    bob = discord.create_user("Bob")
    dm = discord.open_dm(bob)
    await discord.send_sticker(bob, dm, "wave", make_image(160, 160))
    await discord.wait_for(lambda: any("image/jpeg 160x160" in t for t in bot_texts(discord.messages(dm))), 20)


async def test_follow_up_question_sees_picture_again(seeing: Harness) -> None:
    """Also after a restart, when only the platform has the picture."""
    telegram = seeing.telegram
    ann, chat = await telegram_chat(seeing)
    await telegram.send_photo(ann, chat, PHOTO, caption="Where is this?")
    await wait_for_telegram(seeing, chat, SEEN)
    await seeing.stop()
    await seeing.start(default_model=VISION_MODEL.id)
    await telegram.send_message(ann, chat, "repeat: The tree on the left?")
    await wait_for_telegram(seeing, chat, f"{SEEN}\n\nThe tree on the left?")
    telegram.files.clear()
    await seeing.stop()
    await seeing.start(default_model=VISION_MODEL.id)
    await telegram.send_message(ann, chat, "repeat: And on the right?")
    await wait_for_telegram(seeing, chat, "And on the right?")
    assert "Where is this?\n\n[photo]" in str(seeing.model.requests[-1].body["messages"]).replace("\\n", "\n")


async def test_old_pictures_become_marks(seeing: Harness) -> None:
    telegram = seeing.telegram
    ann, chat = await telegram_chat(seeing)
    await telegram.send_photo(ann, chat, PHOTO, caption="repeat: one")
    for word in ("two", "three", "four"):
        await telegram.send_message(ann, chat, f"repeat: {word}")
        await wait_for_telegram(seeing, chat, word)
    assert "image_url" not in str(seeing.model.requests[-1].body)
    assert "repeat: one\n\n[photo]" in [m["content"] for m in seeing.model.requests[-1].body["messages"]]


async def test_retry_shows_picture_again(seeing: Harness) -> None:
    telegram = seeing.telegram
    ann, chat = await telegram_chat(seeing)
    await telegram.send_photo(ann, chat, PHOTO, caption="Where is this?")
    await wait_for_telegram(seeing, chat, SEEN)
    await telegram.send_message(ann, chat, "/retry")
    await telegram.wait_for(lambda: len(seeing.model.requests) == 2)
    assert last_question(seeing)[1]["type"] == "image_url"


@PLATFORMS
async def test_retry_without_the_picture_keeps_the_answer(seeing: Harness, platform: str) -> None:
    """The platform has deleted the picture, and a restart has emptied the cache."""
    chat = ChatWithButtons(seeing, platform)
    if chat.is_telegram:
        await chat.server.send_photo(chat.person, chat.chat, PHOTO, caption="Where is this?")
    else:
        await chat.server.send_file(
            chat.person, chat.chat, "garden.jpg", PHOTO, text="Where is this?", media_type="image/jpeg"
        )
    await chat.wait_for(f"{SEEN}.*")
    chat.server.files.clear()
    await seeing.stop()
    await seeing.start(default_model=VISION_MODEL.id)
    await chat.press("Retry")
    await chat.server.wait_for(lambda: len(chat.answers) == 2, 20)
    await seeing.wait_until_stored(NO_OPEN_TURN)
    answer, failure = chat.answers
    assert SEEN in answer
    assert "picture" in failure
    assert len(seeing.model.requests) == 1


async def test_picture_on_discord_is_seen_again_after_its_url_has_expired(seeing: Harness) -> None:
    chat = ChatWithButtons(seeing, "discord")
    await chat.server.send_file(chat.person, chat.chat, "garden.jpg", PHOTO, text="Where?", media_type="image/jpeg")
    await chat.wait_for(f"{SEEN}.*")
    await seeing.stop()
    chat.server.expire_attachment_urls()
    await seeing.start(default_model=VISION_MODEL.id)
    await chat.press("Retry")
    await chat.server.wait_for(lambda: len(seeing.model.requests) == 2, 20)
    await seeing.wait_until_stored(NO_OPEN_TURN)
    assert last_question(seeing)[1]["type"] == "image_url"
    chat.server.expire_attachment_urls()
    await seeing.stop()
    await seeing.start(default_model=VISION_MODEL.id)
    await chat.ask("repeat: And the tree?", f"{SEEN}.*And the tree.*")


async def test_answer_says_that_a_video_was_not_seen(seeing: Harness) -> None:
    note = "I can't read this yet: video. I answered only what you wrote."
    telegram, discord = seeing.telegram, seeing.discord
    ann, chat = await telegram_chat(seeing)
    await telegram.send_video(ann, chat, b"video", caption="repeat: A garden.")
    await wait_for_telegram(seeing, chat, f"A garden.\n\n{note}")
    bea = discord.create_user("Bea")
    channel = discord.create_channel(discord.create_guild("Home", bea), "general")
    await discord.send_file(
        bea, channel, "garden.mp4", b"video", text=f"{discord.mention} repeat: A pond.", media_type="video/mp4"
    )
    await discord.wait_for(lambda: any("A pond." in t and note in t for t in bot_texts(discord.messages(channel))), 20)


async def test_vision_model_is_one_tap_away_on_telegram(blind: Harness) -> None:
    telegram = blind.telegram
    ann, chat = await telegram_chat(blind)
    await telegram.send_photo(ann, chat, PHOTO, caption="repeat: A garden.")
    offer = "Llama-3.3-70B-Instruct can't see pictures, but Qwen2.5-VL-32B-Instruct can."
    await wait_for_telegram(blind, chat, offer)
    assert not blind.model.requests, "nothing is spent on a model that cannot see"
    message = telegram.messages(chat)[-1]
    await telegram.press_button(ann, message, button(message, "Ask Qwen2.5-VL"))
    await wait_for_telegram(blind, chat, f"{SEEN}\n\nA garden.")
    await telegram.send_message(ann, chat, "repeat: next")
    await wait_for_telegram(blind, chat, "next")
    models = [request.body["model"] for request in blind.model.requests]
    assert models == [VISION_MODEL.id, MODEL], "the chat's model stays"
    assert "[photo]" in blind.model.requests[-1].body["messages"][1]["content"]


async def test_vision_model_is_one_tap_away_on_discord(blind: Harness) -> None:
    discord = blind.discord
    ann, eve = discord.create_user("Ann"), discord.create_user("Eve")
    channel = discord.create_channel(discord.create_guild("Home", ann, eve), "general")
    await discord.send_file(
        ann, channel, "garden.jpg", PHOTO, text=f"{discord.mention} where?", media_type="image/jpeg"
    )
    await discord.wait_for(lambda: any("can't see pictures" in t for t in bot_texts(discord.messages(channel))), 20)
    message = discord.messages(channel)[-1]
    await discord.press_button(eve, message, button(message, "Ask Qwen2.5-VL"))
    await discord.wait_for(
        lambda: any("belongs to somebody else" in t for t in bot_texts(discord.messages(channel))), 20
    )
    assert not blind.model.requests
    await discord.press_button(ann, message, button(message, "Ask Qwen2.5-VL"))
    await discord.wait_for(lambda: any(SEEN in t for t in bot_texts(discord.messages(channel))), 20)


async def test_reply_to_photo_is_answered_without_it(blind: Harness) -> None:
    telegram = blind.telegram
    ann, chat = await telegram_chat(blind)
    photo = await telegram.send_photo(ann, chat, PHOTO)
    await wait_for_telegram(blind, chat, "can't see pictures")
    await telegram.send_message(ann, chat, "repeat: never mind", reply_to=photo)
    await wait_for_telegram(blind, chat, "never mind")
    message = telegram.messages(chat)[-1]
    assert "can't see the picture that you replied to" in message.text
    await telegram.press_button(ann, message, button(message, "Ask Qwen2.5-VL"))
    await wait_for_telegram(blind, chat, SEEN)


async def test_broken_picture_is_reported(seeing: Harness) -> None:
    ann, chat = await telegram_chat(seeing)
    await seeing.telegram.send_photo(ann, chat, PHOTO[:300], caption="Where is this?")
    await wait_for_telegram(seeing, chat, "The picture is damaged; I couldn't open it.")
    await seeing.telegram.send_document(ann, chat, "a*b*.png", make_image()[:40], caption="And this?")
    await wait_for_telegram(seeing, chat, "a_b_.png is damaged; I couldn't open it.")
    assert not seeing.model.requests


@PLATFORMS
async def test_broken_picture_does_not_keep_the_others_from_being_seen(seeing: Harness, platform: str) -> None:
    chat, pictures = ChatWithButtons(seeing, platform), [PHOTO, PHOTO[:300]]
    if chat.is_telegram:
        await chat.server.send_album(chat.person, chat.chat, pictures, caption="repeat: A garden.")
    else:
        files = dict(zip(("a.jpg", "b.jpg"), pictures, strict=True))
        await chat.server.send_files(chat.person, chat.chat, files, "image/jpeg", text="repeat: A garden.")
    await chat.wait_for(r"I see 1 picture: image/jpeg 640x480.\s+A garden.\s.*is damaged; I couldn't open it.")
    assert len(last_question(seeing)) == 2


async def test_broken_file_and_picture_are_named_under_the_answer(seeing: Harness) -> None:
    discord = seeing.discord
    ann = discord.create_user("Ann")
    dm = discord.open_dm(ann)
    contents = {"a.jpg": PHOTO[:300], "b.zip": b"PK\x03\x04" + bytes(range(256)), "c.txt": b"Friday: smoked eel"}
    files = [
        discord.add_attachment(name, content, "image/jpeg" if name == "a.jpg" else "application/octet-stream")
        for name, content in contents.items()
    ]
    await discord.send_message(ann, dm, "repeat: Eel.", attachments=files)
    await discord.wait_for(lambda: any("Eel." in t for t in complete_texts(discord.messages(dm))), 20)
    (answer,) = complete_texts(discord.messages(dm))
    assert "b.zip is not a type I can read." in answer
    assert "a.jpg is damaged; I couldn't open it." in answer
    assert "smoked eel" in str(seeing.model.requests[-1].body["messages"][0])


async def test_picture_file_is_offered_to_vision_model(blind: Harness) -> None:
    """That a file is a picture shows only when it is read."""
    ann, chat = await telegram_chat(blind)
    await blind.telegram.send_document(ann, chat, "scan.dat", PHOTO, caption="repeat: A scan.")
    await wait_for_telegram(blind, chat, "can't see pictures")
    message = blind.telegram.messages(chat)[-1]
    await blind.telegram.press_button(ann, message, button(message, "Ask Qwen2.5-VL"))
    await wait_for_telegram(blind, chat, f"{SEEN}\n\nA scan.")


async def test_substitute_sees_pictures_too(seeing: Harness) -> None:
    """A model without vision would answer something else."""
    other = Model("lab/Other-VL-30B", 32_000, has_vision=True)
    seeing.model.add_model(other)
    seeing.model.fail_next(faults.gateway_error(500), times=None, model=VISION_MODEL.id)
    await seeing.stop()
    await seeing.start(default_model=VISION_MODEL.id)
    ann, chat = await telegram_chat(seeing)
    await seeing.telegram.send_photo(ann, chat, PHOTO, caption="repeat: A garden.")
    await wait_for_telegram(seeing, chat, "Answered by Other-VL-30B")
    await wait_for_telegram(seeing, chat, SEEN)


async def test_album_in_group_is_one_question(seeing: Harness) -> None:
    """Only the message with the caption names the bot."""
    telegram = seeing.telegram
    telegram.privacy_mode = False
    ann, bob = telegram.create_user("Ann"), telegram.create_user("Bob")
    group = telegram.create_group("Friends", ann, bob)
    photos = [make_image(100 + number, 100, "JPEG") for number in range(3)]
    await telegram.send_album(bob, group, photos)
    await telegram.send_album(ann, group, photos, caption=f"@{telegram.bot.username} compare them")
    expected = "I see 3 pictures: image/jpeg 100x100, image/jpeg 101x100, image/jpeg 102x100."
    await wait_for_telegram(seeing, group, expected)
    assert len(seeing.model.requests) == 1
