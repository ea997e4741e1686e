"""What the bot says first: to a person, to an approved stranger, and in a group or on a server that it was added to."""

from core.buttons import ButtonAction, encode_action
from core.commands.models import linked_models_reply
from core.commands.pairing_code import is_pairing_code
from core.commands.request import CommandRequest, Reply
from core.i18n.translation import gettext
from core.port import Button
from core.store.grants import is_operator
from core.texts import commands as texts
from core.texts.access import ACCESS_GRANTED


async def start_reply(request: CommandRequest) -> Reply:
    """`/start`, with a pairing code (`AccessControl.pair`), or with what a link to the bot contains."""
    sender = request.incoming.sender
    is_new_operator = is_pairing_code(request.argument) and await request.services.store.read(
        is_operator, sender.platform, sender.user
    )
    return await _greet(request, is_new_operator=is_new_operator)


async def welcome_reply(request: CommandRequest) -> Reply:
    """To a stranger whom an operator has let in. The argument is that of the link by which they came."""
    return await _greet(request, gettext(ACCESS_GRANTED))


async def _greet(request: CommandRequest, news: str = "", *, is_new_operator: bool = False) -> Reply:
    models, is_private = request.services.models, request.incoming.place.is_private
    linked = linked_models_reply(models, request.argument)
    greeting = texts.greeting(
        request.incoming.sender.name,
        models.display_name(request.preferences.model),
        is_private=is_private,
        is_new_operator=is_new_operator,
        receives_mentions=await request.receives_mentions(),
    )
    text = "\n\n".join(filter(None, (news, greeting, linked.text if linked is not None else "")))
    if linked is not None and linked.menu:
        return Reply(text, menu=linked.menu)
    return Reply(text, example_buttons(is_private=is_private))


async def added_reply(request: CommandRequest) -> Reply:
    """The greeting in a group or on a server to which the bot was added."""
    model = request.services.models.display_name(request.preferences.model)
    return Reply(texts.added_greeting(model, receives_mentions=await request.receives_mentions()), is_public=True)


def example_buttons(*, is_private: bool) -> tuple[Button, ...]:
    """Buttons with questions to try, in private chats only: in a group, nobody else would see the question."""
    questions = texts.example_questions() if is_private else []
    return tuple(
        Button(question, encode_action(ButtonAction.ASK_EXAMPLE, number)) for number, question in enumerate(questions)
    )
