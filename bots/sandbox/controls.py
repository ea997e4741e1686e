"""What a person at the sandbox can do to the model service behind the bots."""

from dataclasses import replace

from bots.sandbox.model import ModelStandIn
from core.api.catalogue import find

__all__ = ["HELP", "Controls"]

HELP = """\
:quota MODEL  use up its tokens of the day    :gone MODEL  offer it no more    :key  one for /key
:window MODEL TOKENS  less than it said: longer requests are errors"""
SMALLEST = 100  # tokens
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
            case ":window":
                model, _, tokens = rest.rpartition(" ")
                if not tokens.isascii() or not tokens.isdigit() or int(tokens) < SMALLEST:
                    return f"How large? :window MODEL TOKENS, {SMALLEST} or more"
                return self._change(word, model, int(tokens))
            case ":quota" | ":gone":
                return self._change(word, rest)
        return None

    def _change(self, word: str, rest: str, tokens: int = 0) -> str:
        found = find(list(self._service.models.values()), rest).model
        if found is None:
            return f"Which model? {rest!r} names none, or several."
        if word == ":gone":
            self._service.vanish(found.id)
            return f"The service does not offer {found.id} any more."
        if word == ":window":
            self._service.models[found.id] = replace(found, context=tokens)
            return f"{found.id} takes {tokens:,} tokens from now on, and does not tell."
        used = self._service.used.of(key=self._service.api_key, model=found.id)
        self._service.quotas[found.id] = used
        return f"Of {found.id} nothing is left today."
