"""/thread: creates a thread for a long conversation."""

from functools import partial

from core.commands.request import CommandRequest, Reply
from core.conversation.quotes import QUOTE_END
from core.conversation.transcript import CONTINUE_PROMPT
from core.errors import DeliveryError, DeliveryFailure
from core.i18n.translation import gettext
from core.port import SupportsThreadCreation
from core.store.answers import last_question
from core.texts import threads as texts


async def thread_reply(request: CommandRequest) -> Reply:
    """`/thread`, `/thread TITLE`."""
    place, adapter = request.incoming.place, request.adapter
    if not isinstance(adapter, SupportsThreadCreation) or place.server is None:
        return Reply(gettext(texts.NO_THREADS))
    if place.thread is not None:
        return Reply(gettext(texts.IN_THREAD))
    if not request.incoming.sender.may_create_threads:
        return Reply(gettext(texts.PERSON_MAY_NOT))
    title = texts.make_title(request.argument)
    if not title:
        title = await _title_of_conversation(request)
        await request.store_argument(title)  # because a repeated command looks for a thread with its title
    token = request.incoming.interaction_token
    try:
        address = await adapter.create_thread(place, title, interaction_token=token, is_repeated=request.is_repeated)
    except DeliveryError as error:
        is_forbidden = error.failure in (DeliveryFailure.FORBIDDEN, DeliveryFailure.GONE)
        return Reply(gettext(texts.BOT_MAY_NOT if is_forbidden else texts.NOT_CREATED))
    model = request.services.models.display_name(request.preferences.model)
    return Reply(texts.thread_created(title, address, model, needs_mention=not adapter.reads_own_threads))


async def _title_of_conversation(request: CommandRequest) -> str:
    """The beginning of the last question that a person wrote."""
    find = partial(last_question, except_text=CONTINUE_PROMPT)
    question = await request.services.store.read(find, request.conversation_id)
    words = "" if question is None else question.text.rpartition(QUOTE_END)[2]
    return texts.make_title(words) or texts.default_title(request.incoming.sender.name)[: texts.MAX_TITLE_CHARS]
