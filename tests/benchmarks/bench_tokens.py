"""Measures the error of token estimates against a tokeniser that the estimator does not know.

Requests of growing conversations in several languages are estimated in three ways: with the built-in
weights, with weights learnt from the model's own counts, and anchored on the model's last count. Prints
the error of each (p50, p95, p99).

Run by hand: `python -m tests.benchmarks.bench_tokens [SEED]`.
"""

import random
import sys
from collections.abc import Sequence

from bots.sandbox.model import Tokeniser
from core.api.client import Message
from core.conversation import context_window
from core.conversation.token_estimator import CountedRequest, TokenEstimator
from core.conversation.tokens import TokenWeights, count_features

CONVERSATIONS = 60
TURNS = 20
MODEL = "nvidia/AceMath-7B-Instruct"
SYSTEM = "You are a helpful assistant in a chat."
SENTENCES = (
    "The quick brown fox jumps over the lazy dog, and nobody minds. ",
    "Прошу объяснить, почему небо голубое, а море бывает зелёным. ",
    "请用简单的话解释一下，为什么天空是蓝色的。",
    "なぜ空は青いのですか。簡単に説明してください。",
    "for (int i = 0; i < n; ++i) { total += values[i] * 2.5; }\n",
    '{"id": 4711, "name": "Müller", "tags": ["a", "b"], "price": 12.50}\n',
    "Größe, Straße und Übermut: ein Satz mit Umlauten für die Zählung. ",
    "| a | b |\n|---|---|\n| 1 | 22 |\n| 333 | 4444 |\n",
)


def random_text(random_source: random.Random) -> str:
    sentences = random_source.sample(SENTENCES, random_source.randint(1, 2))
    return "".join(random_source.choice(sentences) for _ in range(random_source.randint(1, 25)))


def quantiles(errors: Sequence[float]) -> str:
    ordered = sorted(errors)
    values = (ordered[int(len(ordered) * share)] for share in (0.5, 0.95, 0.99))
    return "  ".join(f"{100 * value:6.2f} %" for value in values)


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    random_source, tokeniser, weights = random.Random(seed), Tokeniser(MODEL), TokenWeights()
    errors: dict[str, list[float]] = {"built-in": [], "learnt": [], "anchored": []}
    exceeded_reserves = 0
    for conversation in range(CONVERSATIONS):
        history: list[Message] = []
        anchor: CountedRequest | None = None
        for _ in range(TURNS):
            prompt, answer = random_text(random_source), random_text(random_source)
            texts = [SYSTEM, *(message.content for message in history), prompt]
            prompt_tokens = tokeniser.count_prompt([{"content": text} for text in texts])
            estimators = {
                "built-in": TokenEstimator(TokenWeights()),
                "learnt": TokenEstimator(weights),
                "anchored": TokenEstimator(weights, anchor),
            }
            for name, estimator in estimators.items():
                fitted = context_window.fit_prompt(SYSTEM, history, prompt, context_tokens=10**9, estimator=estimator)
                if conversation >= CONVERSATIONS // 3:
                    errors[name].append(abs(fitted.estimated_tokens / prompt_tokens - 1))
                    exceeded_reserves += prompt_tokens > fitted.estimated_tokens + fitted.reserve_tokens
            weights.add_sample(count_features(texts), prompt_tokens)
            anchor = CountedRequest(
                MODEL,
                hash(SYSTEM),
                tuple(map(hash, texts[1:])),
                prompt_tokens,
                hash(answer),
                tokeniser.count_text(answer),
            )
            history += [Message("user", prompt), Message("assistant", answer)]
    write = sys.stdout.write
    write(f"seed {seed}, {len(errors['learnt'])} requests: p50, p95, p99 of the error\n")
    for name, values in errors.items():
        write(f"{name:>10}  {quantiles(values)}\n")
    write(f"requests beyond estimate and reserve: {exceeded_reserves}\n")


if __name__ == "__main__":
    main()
