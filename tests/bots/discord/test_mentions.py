"""What a person's text contains as Discord's own marks is shown to the model as clients show it."""

import pytest

from bots.discord.commands import ASK_ABOUT_MESSAGE
from bots.discord.mentions import MentionNames, replace_mentions
from bots.sandbox.discord.state import Channel
from core.port import Part, QuoteKind
from tests.bots.discord.conftest import AdapterHarness


def marked_text(harness: AdapterHarness, role: int) -> str:
    return f"<@&{role}> in <#{harness.channel.id}> <:wave:31> <a:party:32> at <t:1700000000:F>"


def shown_text(harness: AdapterHarness, role: int) -> str:
    return f"@role {role} in #{harness.channel.name} :wave: :party: at 2023-11-14 22:13 UTC"


@pytest.fixture
def role(harness: AdapterHarness) -> int:
    return harness.discord.create_role(harness.guild, harness.owner)


async def test_marks_in_a_question_have_names(harness: AdapterHarness, role: int) -> None:
    await harness.start(message_content=True)
    await harness.mention(marked_text(harness, role))
    assert (await harness.inbox.next()).text == shown_text(harness, role)


async def test_marks_in_a_command_have_names(harness: AdapterHarness, role: int) -> None:
    await harness.start()
    text = marked_text(harness, role)
    await harness.discord.use_command(harness.ann, harness.channel, "ask", prompt=text)
    assert (await harness.inbox.next()).text == shown_text(harness, role)


async def test_marks_in_a_reply_have_names(harness: AdapterHarness, role: int) -> None:
    await harness.start(message_content=True)
    original = await harness.say(marked_text(harness, role), harness.channel)
    await harness.say(f"{harness.discord.mention} why?", harness.channel, reply_to=original)
    (quote,) = (await harness.inbox.next()).quotes
    assert (quote.kind, quote.text) == (QuoteKind.REPLY, shown_text(harness, role))


async def test_marks_in_a_forward_have_the_names_of_the_place(harness: AdapterHarness, role: int) -> None:
    await harness.start(message_content=True)
    original = await harness.say(marked_text(harness, role), harness.channel)
    await harness.discord.forward_message(harness.ann, harness.channel, original)
    (quote,) = (await harness.inbox.next()).quotes
    assert quote.text == shown_text(harness, role)
    await harness.discord.forward_message(harness.ann, harness.dm, original)
    (quote,) = (await harness.inbox.next()).quotes
    assert quote.text == "@role in #channel :wave: :party: at 2023-11-14 22:13 UTC"


async def create_hidden_channel(harness: AdapterHarness) -> Channel:
    """Olga and the bot can see it; Ann cannot."""
    hidden = Channel(987654321987654321, "secret", harness.guild)
    overwrites = [
        {"id": str(harness.guild.id), "type": 0, "allow": "0", "deny": "1024"},
        {"id": harness.account, "type": 1, "allow": "1024", "deny": "0"},
    ]
    await harness.discord.gateway.dispatch("CHANNEL_CREATE", hidden.json() | {"permission_overwrites": overwrites})
    return hidden


async def test_names_of_hidden_channels_stay_hidden(harness: AdapterHarness) -> None:
    await harness.start(message_content=True)
    hidden = await create_hidden_channel(harness)
    await harness.mention(f"<#{hidden.id}> <#1>")
    assert (await harness.inbox.next()).text == "#channel #channel"


async def test_who_quotes_a_message_learns_only_names_of_channels_that_they_see(harness: AdapterHarness) -> None:
    adapter = await harness.start(message_content=True)
    hidden = await create_hidden_channel(harness)
    original = harness.message(await adapter.send(harness.place(harness.channel), Part(f"See <#{hidden.id}>"), key="1"))
    for person, name in ((harness.ann, "channel"), (harness.owner, "secret")):
        text = f"{harness.discord.mention} why?"
        await harness.discord.send_message(person, harness.channel, text, reply_to=original)
        (quote,) = (await harness.inbox.next()).quotes
        assert quote.text == f"See #{name}"
        opened = await harness.discord.use_message_command(person, original, ASK_ABOUT_MESSAGE)
        await harness.discord.submit_modal(opened, "Why?")
        (quote,) = (await harness.inbox.next()).quotes
        assert quote.text == f"See #{name}"


async def test_names_of_private_threads_stay_hidden(harness: AdapterHarness) -> None:
    thread = harness.discord.create_thread(harness.channel, "trip")
    await harness.start(message_content=True)
    await harness.mention(f"<#{thread.id}>")
    assert (await harness.inbox.next()).text == "#trip"
    private = thread.json() | {"id": "987654321987654321", "name": "secret", "type": 12}
    await harness.discord.gateway.dispatch("THREAD_CREATE", private)
    await harness.mention("<#987654321987654321>")
    assert (await harness.inbox.next()).text == "#channel"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<t:1700000000>", "2023-11-14 22:13 UTC"),
        ("<t:1700000000:R>", "2023-11-14 22:13 UTC"),
        ("<t:1700000000:D>", "2023-11-14"),
        ("<t:-86400:d>", "1969-12-31"),
        ("<t:999999999999>", "<t:999999999999>"),
        ("<t:1:x>", "<t:1:x>"),
        ("see <id:browse> and <id:customize>", "see #browse and #customize"),
        ("<@1> <@!2> <@&3> <#4>", "@Bob @somebody @role #channel"),
        ("`<t:1>` ```\n<@1> <:a:1>\n``` <@1>", "`<t:1>` ```\n<@1> <:a:1>\n``` @Bob"),
        ("</model:5> a < b > c <:x> <@a>", "/model a < b > c <:x> <@a>"),
        ("</model:5> `NAME`, `</model:5>`, \\</x:1>", "/model `NAME`, `</model:5>`, \\</x:1>"),
        ("```\n</model:5>\n``` </my group list:5>", "```\n</model:5>\n``` /my group list"),
    ],
)
def test_text_is_shown_as_clients_show_it(text: str, shown: str) -> None:
    assert replace_mentions(text, MentionNames(people={"1": "Bob"})) == shown
