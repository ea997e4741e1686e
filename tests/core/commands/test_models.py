"""/model and /models: menus, lists, searches and who may choose for whom."""

from dataclasses import replace
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.images import VISION_MODEL
from core.buttons import ButtonAction, encode_action, short_digest
from core.commands.model_picker import group_by_family
from core.commands.models import MAX_AUTOCOMPLETE_CHOICES, MAX_SEARCH_BYTES, autocomplete_models, search_models
from core.conversation.model_quotas import quotas_by_model
from core.port import EventKind, Incoming, MenuItem, Part, Place, Sender
from core.store.token_usage import UsageKind
from core.texts.models import MODEL_RETIRED
from tests.core.commands.conftest import LLAMA
from tests.core.turns.fake_adapter import TYPING, FakeAdapter, running_engine

PHI, EMBEDDER = "microsoft/phi-4", "mixedbread-ai/mxbai-embed-large-v1"
SMALL_PAGES = replace(TYPING, menu_page_size=4, list_page_size=3)
SERVER_PLACE = Place("fake", "1", "-7", server="42")


class MenuAdapter(FakeAdapter):
    """Keeps the parts of its messages, with their buttons and menus."""

    def __init__(self) -> None:
        super().__init__(SMALL_PAGES)
        self.parts: dict[str, Part] = {}

    def _show(self, message_id: str, part: Part) -> None:
        self.parts[message_id] = part
        super()._show(message_id, part)

    @property
    def menu(self) -> tuple[MenuItem, ...]:
        return list(self.parts.values())[-1].menu

    @property
    def button_labels(self) -> list[str]:
        return [button.label for button in list(self.parts.values())[-1].buttons]

    async def press_last(self, action: str) -> None:
        message_id, part = list(self.parts.items())[-1]
        await self.press(action, message_id)
        await self.wait_until(lambda: self.parts[message_id] is not part)


def button_action(chat: MenuAdapter, label: str) -> str:
    (action,) = [button.action for button in list(chat.parts.values())[-1].buttons if button.label == label]
    return action


def labels(chat: MenuAdapter) -> list[str]:
    """Of the menu, without the facts."""
    return [item.label.partition(" · ")[0] for item in chat.menu]


async def test_menu_has_families_and_their_models(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, MenuAdapter(), default_model=PHI) as chat:
        assert isinstance(chat, MenuAdapter)
        await chat.models.fetch()
        shown = await chat.ask("/model")
        families = group_by_family(chat.models.chat_models(), PHI)
        assert labels(chat) == ["phi-4", *(family.name for family in families[:3])]
        assert families[0].name == "microsoft", "the family of the current model comes first"
        assert [item.is_selected for item in chat.menu] == [True, False, False, False]
        assert "**phi-4** ← current\n16k · 500k tokens left" in shown
        assert chat.button_labels[-1] == "▶"
        await chat.press_last(button_action(chat, "▶"))
        assert labels(chat) == ["phi-4", *(family.name for family in families[3:6])]
        await chat.press_last(button_action(chat, "◀"))
        await chat.press_last(chat.menu[1].action)
        names = [offered.name for offered in families[0].models]
        assert labels(chat) == names
        assert names[0] == "phi-4"
        count = len(chat.messages)
        await chat.press_last(chat.menu[1].action)
        assert chat.texts[-1].startswith(f"Model: **{names[1]}**,")
        assert len(chat.messages) == count, "in place of the menu"
        assert f"Model: **{names[1]}** (chosen for this chat by Ann)" in await chat.ask("/model")


async def test_large_family_has_pages_that_lead_back(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, MenuAdapter()) as chat:
        assert isinstance(chat, MenuAdapter)
        await chat.models.fetch()
        await chat.ask("/model deepseek-ai/DeepSeek-R1")
        await chat.ask("/model")
        await chat.press_last(chat.menu[1].action)
        first = labels(chat)
        assert first[0] == "DeepSeek-R1"
        assert chat.button_labels == ["1/2", "▶", "Back"]
        await chat.press_last(button_action(chat, "▶"))
        assert first + labels(chat) == [m.name for m in chat.models.chat_models() if m.family == "deepseek-ai"]
        assert "🧠 reasoning" in chat.texts[-1]
        await chat.press_last(button_action(chat, "Back"))
        assert labels(chat)[:2] == ["DeepSeek-R1", "deepseek-ai"]


@pytest.mark.parametrize("count", [1, 4])
async def test_few_models_are_in_one_menu(tmp_path: Path, model: ModelStandIn, count: int) -> None:
    model.models = {id_: model.models[id_] for id_ in [PHI, "google/gemma-2-9b-it", LLAMA, "ozone-ai/0x-lite"][:count]}
    async with running_engine(tmp_path, model, MenuAdapter(), default_model=PHI) as chat:
        assert isinstance(chat, MenuAdapter)
        await chat.models.fetch()
        shown = await chat.ask("/model")
        assert labels(chat) == ["phi-4", *(m.name for m in chat.models.chat_models() if m.id != PHI)]
        assert shown.count("tokens left") == count
        assert chat.button_labels == []


async def test_only_family_is_in_pages(tmp_path: Path, model: ModelStandIn) -> None:
    model.models = {id_: offered for id_, offered in model.models.items() if offered.family == "deepseek-ai"}
    async with running_engine(tmp_path, model, MenuAdapter()) as chat:
        assert isinstance(chat, MenuAdapter)
        await chat.models.fetch()
        await chat.ask("/model")
        assert [item.action.partition(":")[0] for item in chat.menu] == ["m"] * 4
        assert chat.button_labels == ["1/2", "▶"]


@pytest.mark.parametrize("action", ["mf:", "mf:0", "mf:0:", "mf:9999:nothing", "mf:x:y:z", "mf#00", "mp:", "mp:99999"])
async def test_forged_press_shows_the_menu(tmp_path: Path, model: ModelStandIn, action: str) -> None:
    async with running_engine(tmp_path, model, MenuAdapter()) as chat:
        assert isinstance(chat, MenuAdapter)
        await chat.models.fetch()
        await chat.ask("/model")
        menu = chat.menu
        message_id = next(iter(chat.parts))
        await chat.press(action, message_id)
        await chat.wait_for_states("done", "done")
        assert chat.menu == menu


async def test_choice_of_a_removed_model_is_refused(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.press("m:no/such", "1")
        await chat.wait_for_states("done")
        assert "Model: **Llama-3.3-70B-Instruct** (the default)" in await chat.ask("/model")


async def test_list_has_pages_and_quotas(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, MenuAdapter(), quotas={PHI: 1000}) as adapter:
        chat = adapter
        assert isinstance(chat, MenuAdapter)
        count = sum("deepseek" in id_ for id_ in model.models)
        pages = -(-count // SMALL_PAGES.list_page_size)
        assert (await chat.ask("/models deepseek")).startswith(f"{count} models. Quotas reset in ")
        entries: set[str] = set()
        for number in range(1, pages + 1):
            assert f"{number}/{pages}" in chat.button_labels
            entries |= {line for line in chat.texts[-1].splitlines() if line.startswith("- ")}
            assert len(entries) == min(count, number * SMALL_PAGES.list_page_size), "the search goes on"
            await chat.press_last(button_action(chat, "▶"))
        reply = await chat.ask("/models phi-4")
        assert "1k tokens left" in reply
        assert chat.button_labels == []
        assert "← current" not in reply
        assert "← current" in await chat.ask("/models llama-3.3")
        assert "embeddings only" in await chat.ask("/models mxbai")
        assert await chat.ask("/models no such") == "No model matches “no such”."


async def test_long_searches_are_cut_between_characters(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        cut = "x" + "ß" * ((MAX_SEARCH_BYTES - 1) // 2)
        assert await chat.ask(f"/models x{'ß' * 40}") == f"No model matches “{cut}”."


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("/model phi-4 here", "Model: **phi-4**, 16k tokens of context (this chat)"),
        ("/model phi-4 me", "Model: **phi-4**, 16k tokens of context (all your chats)"),
        ("/model PHI 4 Chat", "Model: **phi-4**, 16k tokens of context (this chat)"),
        ("/model RESET", "Back to the default: **Llama-3.3-70B-Instruct**"),
        ("/model me", "Add the model's name: `/model NAME me`. To remove the choice: `/model reset me`."),
        ("/model phi-4 server", "This chat isn't on a server."),
        ("/model phi-5", "No model matches “phi-5”. Did you mean `microsoft/phi-4`?"),
        ("/model phi-4 🙂", "Model: **phi-4**, 16k tokens of context (this chat)"),
        ("/model 🦙", "No model matches “🦙”. See /models."),
        ("/model use phi-4 from now on", "No model matches “use phi-4 from now on”. See /models."),
        ("/model mxbai", "mxbai-embed-large-v1 only searches notes and files; it can't answer. See /models."),
        ("/model nothing-like-it", "No model matches “nothing-like-it”. See /models."),
    ],
)
async def test_model_is_chosen_by_name(tmp_path: Path, model: ModelStandIn, command: str, reply: str) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert await chat.ask(command) == reply


async def test_ambiguous_name_offers_candidates(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        reply = await chat.ask("/model DeepSeek-R1-Distill")
        assert reply.startswith("Several models match “DeepSeek-R1-Distill”. Choose one:")
        assert reply.count("- `deepseek-ai/") == sum("R1-Distill" in id_ for id_ in model.models)


@pytest.mark.parametrize(("scope", "where"), [("me", "all your chats"), ("here", "this chat")])
async def test_ambiguous_name_with_a_scope_is_chosen_by_a_button(
    tmp_path: Path, model: ModelStandIn, scope: str, where: str
) -> None:
    async with running_engine(tmp_path, model, MenuAdapter()) as chat:
        assert isinstance(chat, MenuAdapter)
        await chat.ask(f"/model DeepSeek-R1-Distill {scope}")
        first = chat.menu[0]
        await chat.press_last(first.action)
        name = first.label.partition(" · ")[0]
        assert chat.texts[-1].startswith(f"Model: **{name}**")
        assert chat.texts[-1].endswith(f"({where})")


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        (f"chat:{short_digest(PHI)}", "Only managers of this chat can change this for everyone."),
        (f"server:{short_digest(PHI)}", "This chat isn't on a server."),
        (f"all:{short_digest(PHI)}", MODEL_RETIRED),
        ("me:0123456789ab", MODEL_RETIRED),
    ],
)
async def test_forged_choice_for_a_scope_is_refused(
    tmp_path: Path, model: ModelStandIn, argument: str, reply: str
) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("/model", group="-7")
        await chat.press(encode_action(ButtonAction.CHOOSE_MODEL_FOR, argument), list(chat.messages)[-1], group="-7")
        await chat.wait_for_text(reply)


async def test_model_without_quota_is_chosen_with_a_warning(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, quotas={PHI: 1}) as chat:
        await chat.ask("/model phi-4")
        await chat.ask("repeat: hello")
        assert "\nIts quota for today is used up. Quotas reset in" in await chat.ask("/model phi-4")
        assert "No tokens" not in await chat.ask("/model llama-3.3")


async def ask_on_server(chat: FakeAdapter, text: str, *, is_server_manager: bool) -> str:
    count = len(chat.messages)
    sender = Sender("fake", "5", "Ann", is_manager=True, is_server_manager=is_server_manager)
    command, _, argument = text.removeprefix("/").partition(" ")
    key = f"s{text}{is_server_manager}{count}"
    await chat.inbox(Incoming(EventKind.COMMAND, key, SERVER_PLACE, sender, argument, command=command))
    await chat.wait_until(lambda: len(chat.messages) > count)
    return chat.texts[-1]


async def test_only_server_managers_choose_for_the_server(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        refusal = "Only server managers can change this for everyone."
        assert await ask_on_server(chat, "/model phi-4 server", is_server_manager=False) == refusal
        reply = await ask_on_server(chat, "/model phi-4 server", is_server_manager=True)
        assert reply.endswith("(this server)\nChanged by Ann for everyone on this server")
        await ask_on_server(chat, "/model llama-3.3 chat", is_server_manager=False)
        assert await ask_on_server(chat, "/model reset server", is_server_manager=False) == refusal
        reset = await ask_on_server(chat, "/model reset", is_server_manager=False)
        assert reset.startswith("Model reset (this chat). **phi-4**, chosen for this server, answers here.")
        reset = await ask_on_server(chat, "/model reset server", is_server_manager=True)
        assert reset.startswith("Back to the default: **Llama-3.3")


# What the platforms complete


async def test_search_needs_every_word(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        ids = {found.id for found in search_models(chat.models, "LLAMA 70b")}
        assert ids == {id_ for id_ in model.models if "Llama" in id_ and "70B" in id_}
        assert {found.id for found in search_models(chat.models, "")} == set(model.models)
        assert search_models(chat.models, "llama phi-4") == []


@pytest.mark.parametrize("search", ["vision", "images", "pictures Qwen"])
async def test_models_that_see_are_found_by_their_ability(tmp_path: Path, model: ModelStandIn, search: str) -> None:
    model.models[VISION_MODEL.id] = VISION_MODEL
    async with running_engine(tmp_path, model) as chat:
        await chat.models.fetch()
        assert [found.id for found in search_models(chat.models, search)] == [VISION_MODEL.id]


async def test_suggestions_have_label_and_value(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        first = autocomplete_models(chat.models, "phi-4")[0]
        assert (first.label, first.value) == ("phi-4 · 16k", PHI)
        assert len(autocomplete_models(chat.models, "")) == MAX_AUTOCOMPLETE_CHOICES


async def test_quota_of_each_model_is_that_of_its_kind(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("/remember My bicycle is green.")
        await chat.ask("repeat: hello")
        ledger = chat.services.ledger
        models = [*chat.models.chat_models(), *chat.models.embedding_models()]
        quotas = await quotas_by_model(ledger, chat.key_id, models)
        assert set(quotas) == {offered.id for offered in models}
        embeddings = await ledger.get_quotas(chat.key_id, [EMBEDDER], UsageKind.EMBEDDINGS)
        assert quotas[EMBEDDER].usage == embeddings[EMBEDDER].usage
        assert quotas[EMBEDDER].usage.tokens > 0
        assert quotas[LLAMA].usage.tokens > 0
        assert quotas[PHI].usage.tokens == 0
