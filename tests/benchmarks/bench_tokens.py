"""How wrong the estimate of a request's tokens is, against a tokeniser the bot does not know.

Prints the error (p50, p95, p99) of requests of growing conversations in several languages: by the
prior alone, by the weights learnt from the model's own counts, and anchored on its last count.
Run by hand: `python -m tests.benchmarks.bench_tokens [SEED]`.
"""

import random
import sys
from collections.abc import Sequence

from bots.sandbox.model import Tokeniser
from core.api.client import Message
from core.conversation import context_window
from core.conversation.token_estimator import CountedRequest, TokenEstimator, text_hash
from core.conversation.tokens import TokenWeights, count_features

CONVERSATIONS = 60
TURNS = 20
MODEL = "nvidia/AceMath-7B-Instruct"
SYSTEM = "You are a helpful assistant in a chat."
TEXTS = (
    "The quick brown fox jumps over the lazy dog, and nobody minds. ",
    "Прошу объяснить, почему небо голубое, а море бывает зелёным. ",
    "请用简单的话解释一下，为什么天空是蓝色的。",
    "なぜ空は青いのですか。簡単に説明してください。",
    "for (int i = 0; i < n; ++i) { total += values[i] * 2.5; }\n",
    '{"id": 4711, "name": "Müller", "tags": ["a", "b"], "price": 12.50}\n',
    "Größe, Straße und Übermut: ein Satz mit Umlauten für die Zählung. ",
    "| a | b |\n|---|---|\n| 1 | 22 |\n| 333 | 4444 |\n",
)


def text(dice: random.Random) -> str:
    kinds = dice.sample(TEXTS, dice.randint(1, 2))
    return "".join(dice.choice(kinds) for _ in range(dice.randint(1, 25)))


def spread(errors: Sequence[float]) -> str:
    ordered = sorted(errors)
    at = (ordered[int(len(ordered) * share)] for share in (0.5, 0.95, 0.99))
    return "  ".join(f"{100 * value:6.2f} %" for value in at)


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    dice, tokeniser, weights = random.Random(seed), Tokeniser(MODEL), TokenWeights()
    errors: dict[str, list[float]] = {"prior": [], "learnt": [], "anchored": []}
    outside = 0
    for conversation in range(CONVERSATIONS):
        history: list[Message] = []
        anchor: CountedRequest | None = None
        for _ in range(TURNS):
            prompt, answer = text(dice), text(dice)
            shown = [SYSTEM, *(message.content for message in history), prompt]
            true = tokeniser.count_prompt([{"content": said} for said in shown])
            ways = {
                "prior": TokenEstimator(TokenWeights()),
                "learnt": TokenEstimator(weights),
                "anchored": TokenEstimator(weights, anchor),
            }
            for name, measure in ways.items():
                fitted = context_window.fit_prompt(SYSTEM, history, prompt, context_tokens=10**9, estimator=measure)
                if conversation >= CONVERSATIONS // 3:
                    errors[name].append(abs(fitted.estimated_tokens / true - 1))
                    outside += true > fitted.estimated_tokens + fitted.reserve_tokens
            weights.add_sample(count_features(shown), true)
            told = tokeniser.count_text(answer)
            anchor = CountedRequest(
                MODEL,
                text_hash(SYSTEM),
                tuple(map(text_hash, shown[1:])),
                true,
                text_hash(answer),
                told,
            )
            history += [Message("user", prompt), Message("assistant", answer)]
    sys.stdout.write(f"seed {seed}, {len(errors['prior'])} requests: p50, p95, p99 of the error" + "\n")
    for name, found in errors.items():
        sys.stdout.write(f"{name:>10}  {spread(found)}" + "\n")
    sys.stdout.write(f"beyond estimate and reserve: {outside}" + "\n")


if __name__ == "__main__":
    main()
