"""What a person at the sandbox can do to the model service behind the bots."""

from dataclasses import replace

from bots.sandbox.model import ModelStandIn
from core.api.catalogue import find_model

__all__ = ["HELP", "ModelControls"]

HELP = """\
:quota MODEL  use up its tokens of the day    :gone MODEL  offer it no more    :key  one for /key
:window MODEL TOKENS  less than it said: longer requests are errors"""
MIN_WINDOW_TOKENS = 100  # tokens
PERSONAL_KEY = "io-v2-a-key-of-your-own"


class ModelControls:
    def __init__(self, stand_in: ModelStandIn) -> None:
        self._stand_in = stand_in
        stand_in.add_account(PERSONAL_KEY)

    def run(self, command: str, argument: str) -> str | None:
        """What came of it; None for what is no control."""
        match command:
            case ":key":
                return f"The service knows this key too: {PERSONAL_KEY}"
            case ":window":
                model, _, tokens = argument.rpartition(" ")
                if not tokens.isascii() or not tokens.isdigit() or int(tokens) < MIN_WINDOW_TOKENS:
                    return f"How large? :window MODEL TOKENS, {MIN_WINDOW_TOKENS} or more"
                return self._change_model(command, model, int(tokens))
            case ":quota" | ":gone":
                return self._change_model(command, argument)
        return None

    def _change_model(self, command: str, query: str, tokens: int = 0) -> str:
        model = find_model(list(self._stand_in.models.values()), query).model
        if model is None:
            return f"Which model? {query!r} names none, or several."
        if command == ":gone":
            self._stand_in.remove_model(model.id)
            return f"The service does not offer {model.id} any more."
        if command == ":window":
            self._stand_in.models[model.id] = replace(model, context_window=tokens)
            return f"{model.id} takes {tokens:,} tokens from now on, and does not tell."
        used = self._stand_in.usage.tokens_used(api_key=self._stand_in.api_key, model=model.id)
        self._stand_in.quotas[model.id] = used
        return f"Of {model.id} nothing is left today."
