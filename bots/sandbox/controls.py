"""What a person at the sandbox can do to the model service behind the bots."""

from bots.sandbox.model import ModelStandIn
from core.api.catalogue import find

__all__ = ["HELP", "Controls"]

HELP = """\
:quota MODEL  use up its tokens of the day    :gone MODEL  offer it no more    :key  one for /key"""
OWN_KEY = "io-v2-a-key-of-your-own"


class Controls:
    def __init__(self, service: ModelStandIn) -> None:
        self._service = service
        service.add_key(OWN_KEY)

    def do(self, word: str, rest: str) -> str | None:
        """What came of it; None for what is no control."""
        match word:
            case ":key":
                return f"The service knows this key too: {OWN_KEY}"
            case ":quota" | ":gone":
                return self._change(word, rest)
        return None

    def _change(self, word: str, rest: str) -> str:
        found = find(list(self._service.models.values()), rest).model
        if found is None:
            return f"Which model? {rest!r} names none, or several."
        if word == ":gone":
            self._service.vanish(found.id)
            return f"The service does not offer {found.id} any more."
        used = self._service.used.of(key=self._service.api_key, model=found.id)
        self._service.quotas[found.id] = used
        return f"Of {found.id} nothing is left today."
