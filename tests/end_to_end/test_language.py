"""The bot speaks each person's language, on the real libraries."""

from pathlib import Path

from tests.end_to_end.chat_with_buttons import PLATFORMS, ChatWithButtons, answer_by_count
from tests.end_to_end.harness import Harness, bot_texts, running_harness
from tests.end_to_end.test_access import make_operator


def set_client_language(chat: ChatWithButtons, language: str) -> None:
    if chat.is_telegram:
        chat.person.language = language
    else:
        chat.person.locale = language


@PLATFORMS
async def test_person_chooses_a_language(harness: Harness, platform: str) -> None:
    answer_by_count(harness)
    chat = ChatWithButtons(harness, platform)
    await chat.ask("/language", "Language: .*English.*, your app's language. Choose another:")
    await chat.ask("/language de", "Sprache: .*Deutsch.*")
    await chat.ask("hello", "answer 1")
    assert chat.answer_buttons() == ["Nochmal"]
    await chat.press("Nochmal")
    await chat.wait_for("answer 2")
    assert chat.answer_buttons()[-2:] == ["Nochmal", "Anderes Modell"]
    await chat.ask("/language uk", "Мова: .*Українська.*")
    await chat.ask("/memory", "Нотаток і файлів поки немає.*")
    await chat.ask("/language auto", "Language: .*English.*, your app's language.")
    await chat.ask("/new", "New conversation with .*")


async def test_language_is_typed_by_its_name(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "telegram")
    await chat.ask("/language German", "Sprache: Deutsch")
    await chat.ask("/language klingon", "„klingon“ spreche ich nicht.*")
    await chat.ask("/language українська", "Мова: Українська")


@PLATFORMS
async def test_clients_language_is_spoken_and_remembered(harness: Harness, platform: str) -> None:
    answer_by_count(harness)
    chat, other = ChatWithButtons(harness, platform), ChatWithButtons(harness, platform, "Bob")
    set_client_language(chat, "ru")
    set_client_language(other, "pt-BR")
    await chat.ask("/remember one", "Запомнено под номером 1.*")
    await chat.ask("/remember two", "Запомнено под номером 2.*")
    await chat.ask("/memory", "Здесь 2 заметки.*")
    await other.ask("/memory", "Ainda não há notas nem arquivos.*")
    await chat.ask("hello", "answer 1.*")  # on Discord, messages do not tell the client's language
    assert chat.answer_buttons() == ["Ещё раз"]
    set_client_language(chat, "fr")
    await chat.ask("/new", "New conversation with .*")


async def test_stranger_and_operator_read_their_own_languages(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness:
        telegram = harness.telegram
        olga, eve = telegram.create_user("Olga", language="uk"), telegram.create_user("Eve", language="es")
        operators_chat, chat = telegram.open_private_chat(olga), telegram.open_private_chat(eve)
        await make_operator(harness, f"telegram:person:{olga.id}")
        await harness.start(access="pairing")
        await telegram.send_message(olga, operators_chat, "/stop")
        await telegram.wait_for(lambda: bot_texts(telegram.messages(operators_chat)) == ["Зупиняти нічого."])
        await telegram.send_message(eve, chat, "hola")
        await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)))
        assert bot_texts(telegram.messages(chat))[0].startswith("Este bot es privado.")
        await telegram.wait_for(lambda: len(telegram.messages(operators_chat)) == 3)
        request = telegram.messages(operators_chat)[-1]
        approve, _refuse = request.buttons
        assert approve["text"] == "Схвалити"
        await telegram.press_button(olga, request, approve["callback_data"])
        await telegram.wait_for(lambda: len(bot_texts(telegram.messages(chat))) == 2)
        assert "Ya puedes usar este bot." in bot_texts(telegram.messages(chat))[-1]


async def test_refusal_of_an_interaction_is_in_the_clients_language(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness:
        discord = harness.discord
        eve = discord.create_user("Eve")
        eve.locale = "ja"
        channel = discord.create_channel(discord.create_guild("Home", eve), "general")
        await harness.start(access="pairing")
        done = await discord.use_command(eve, channel, "model", name="phi-4")
        await discord.wait_for(lambda: done.responses)
        (response,) = done.responses
        assert response.ephemeral_to == eve.id
        assert response.content == "このボットを使えるのは、運営者が承認した人だけです。"


async def test_forms_and_completions_of_discord_are_in_the_chosen_language(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "discord")
    await chat.ask("/language de", "Sprache: .*Deutsch.*")
    opened = await chat.server.use_command(chat.person, chat.chat, "system")
    await chat.server.wait_for(lambda: opened.modal is not None)
    assert opened.modal["title"] == "Anweisungen an das Modell"
    choices = await chat.server.autocomplete(chat.person, chat.chat, "model", "name", "r1")
    assert any("Überlegungen" in choice["name"] for choice in choices)


async def test_explanation_names_options_as_the_client_of_discord_shows_them(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "discord")
    set_client_language(chat, "de")
    await chat.ask("/help model", ".*- `bereich`: Wo .*")
    await chat.ask("/language en", "Language: .*")
    await chat.ask("/help model", ".*- `bereich`: Where .*")
    [command] = [command for command in harness.discord.commands if command["name"] == "model"]
    names = [option["name_localizations"]["de"] for option in command["options"]]
    assert all(f"`{name}`" in chat.answers[-1] for name in names)


async def test_no_space_follows_a_full_stop_of_japanese_in_the_report_on_a_file(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "telegram")
    set_client_language(chat, "ja")
    await chat.server.send_document(chat.person, chat.chat, "note.txt", "鍵はマットの下です。".encode())
    await chat.wait_for("note.txt を読みました: 1 セクション。内容について質問してください。")
