"""Which thresholds tell notes that fit a question from those that do not.

Twenty-four notes of one person; of each a question that it answers and one that shares a word with
it and is about something else, and questions that nothing fits. Prints, for thresholds around the
present ones, how many fitting notes are found, how many notes come with a question they fit
besides, and how many of the other questions bring up any. The vectors are the sandbox's: another
model's cosines lie elsewhere, so that the figures tell how the rule behaves, not what is best for
every model. Run by hand: `python -m tests.benchmarks.bench_recall`.
"""

import sys
from dataclasses import dataclass

import numpy as np

from bots.sandbox.model.embeddings import embed_text
from core.memory import ranking
from core.memory.service import QUERY_PREFIX
from core.store.memories import ChunkKind, ScoredChunk

# (note, a question it answers, a question with a word of it that it does not answer)
NOTES = (
    (
        "The wifi password of the cabin is heron-42.",
        "What is the password for the wifi?",
        "How do I choose a strong password?",
    ),
    (
        "My dentist is Dr. Amsel, phone 555-0142.",
        "What is my dentist's phone number?",
        "Which phone has the best camera?",
    ),
    ("I am allergic to peanuts and sesame.", "Am I allergic to sesame?", "How are peanuts grown?"),
    (
        "Our anniversary is on the 14th of June.",
        "When is our anniversary?",
        "Write a haiku about June",
    ),
    (
        "The car's licence plate is KLR 882.",
        "What is the licence plate of my car?",
        "Explain how a car engine works",
    ),
    (
        "My sister Mila lives in Rotterdam.",
        "Where does my sister Mila live?",
        "How large is the harbour of Rotterdam?",
    ),
    (
        "The spare key is under the third flower pot.",
        "Where is the spare key?",
        "How do I repot a flower?",
    ),
    (
        "I prefer answers in British spelling.",
        "Which spelling do I prefer?",
        "What did the British eat in 1850?",
    ),
    (
        "The boiler was serviced in October 2025 by Novak.",
        "Who serviced the boiler?",
        "What happened in October 1917?",
    ),
    ("My shoe size is 43 and a half.", "What is my shoe size?", "How do I tie a shoe?"),
    (
        "The project's deadline is Friday the 12th.",
        "When is the deadline of the project?",
        "What is a critical path in project planning?",
    ),
    (
        "Invoices go to accounts@finch.example.",
        "To which address do invoices go?",
        "How does double-entry book-keeping treat invoices?",
    ),
    (
        "The cat is called Miso and gets half a tin a day.",
        "How much does the cat Miso get?",
        "Why do cats purr?",
    ),
    ("Standup is at 9:45 in room Kepler.", "In which room is standup?", "Who was Johannes Kepler?"),
    (
        "The garden tap must be closed before the first frost.",
        "What must I do with the garden tap?",
        "Design a garden for a small yard",
    ),
    (
        "I studied chemistry in Graz from 2009 to 2014.",
        "Where did I study chemistry?",
        "Balance this equation of chemistry: H2 + O2",
    ),
    (
        "The server's backup runs at 02:30 every night.",
        "When does the backup of the server run?",
        "Write a night-time story for children",
    ),
    ("Мою собаку зовут Бим, ей семь лет.", "Как зовут мою собаку?", "Почему собаки лают на луну?"),
    (
        "Я живу в Казани на улице Баумана.",
        "На какой улице я живу?",
        "Какая улица самая длинная в мире?",
    ),
    ("我的生日是三月五日。", "我的生日是哪天？", "三月适合去哪里旅行？"),
    (
        "Meine Blutgruppe ist A negativ.",
        "Welche Blutgruppe habe ich?",
        "Wie viele Gruppen hat eine Weltmeisterschaft?",
    ),
    (
        "Mon train part à 7 h 12 de Lyon.",
        "À quelle heure part mon train?",
        "Raconte l'histoire du premier train",
    ),
    (
        "The alarm code of the office is 7741.",
        "What is the alarm code of the office?",
        "Write code that sorts a list",
    ),
    (
        "The tent and the stove are in the attic.",
        "Where is the tent?",
        "Which stove is best for baking?",
    ),
)
OTHERS = (
    "Write a poem about spring",
    "What is the capital of Peru?",
    "Explain recursion to a child",
    "Translate good morning into Japanese",
    "How do vaccines work?",
    "Tell me a joke",
    "Summarise the plot of Hamlet",
    "What is 17 times 23?",
    "Why is the sky blue?",
    "Give me a recipe for pancakes",
    "How do I reverse a linked list?",
    "Thanks, that helps!",
    "What should I do with this error: segmentation fault?",
    "Кто написал «Войну и мир»?",
    "Wie wird Glas hergestellt?",
    "请写一首关于海的诗",
    "Quelle est la hauteur de la tour Eiffel?",
    "Rewrite it more briefly, please",
    "Is a tomato a fruit?",
    "Continue",
)


@dataclass(frozen=True, slots=True)
class Figures:
    found: int
    """Fitting notes that came up."""
    besides: float
    """Other notes that came up with them, for each question."""
    near: int
    """Questions with a shared word, about something else, that brought up any note."""
    others: int
    """Unrelated questions that did."""


def candidates(question: str, prefix: str) -> list[ScoredChunk]:
    asked = embed_text(prefix + question)
    return [
        ScoredChunk(number, ChunkKind.NOTE, "", "", text, float(np.dot(asked, embed_text(text))))
        for number, (text, _, _) in enumerate(NOTES)
    ]


def recalled(question: str, prefix: str = QUERY_PREFIX) -> set[int]:
    return {one.id for one in ranking.rank(question, candidates(question, prefix))}


def figures() -> Figures:
    fitting = [recalled(question) for _, question, _ in NOTES]
    hits = sum(number in came for number, came in enumerate(fitting))
    besides = sum(len(came - {number}) for number, came in enumerate(fitting))
    near = sum(bool(recalled(question)) for _, _, question in NOTES)
    others = sum(bool(recalled(question)) for question in OTHERS)
    return Figures(hits, besides / len(NOTES), near, others)


def spread(name: str, scores: list[float]) -> str:
    ordered = sorted(scores)
    at = (ordered[int((len(ordered) - 1) * share)] for share in (0, 0.1, 0.5, 0.9, 1))
    return f"{name:>32}  " + "  ".join(f"{value:5.2f}" for value in at)


def main() -> None:
    print = sys.stdout.write  # noqa: A001 (what a benchmark is for)
    print("cosines: least, p10, median, p90, most\n")
    fits = [candidates(q, QUERY_PREFIX)[n].score for n, (_, q, _) in enumerate(NOTES)]
    near = [max(one.score for one in candidates(q, QUERY_PREFIX)) for _, _, q in NOTES]
    other = [max(one.score for one in candidates(q, QUERY_PREFIX)) for q in OTHERS]
    print(spread("fitting note", fits) + "\n")
    print(spread("best of a near question", near) + "\n")
    print(spread("best of an unrelated question", other) + "\n\n")
    print(f"of {len(NOTES)} fitting, {len(NOTES)} near, {len(OTHERS)} unrelated questions\n")
    print("ALIKE  SHARED  found  besides  near  unrelated\n")
    present = ranking.MIN_COSINE, ranking.MIN_TERM_OVERLAP
    for alike in (0.25, 0.3, 0.35, 0.4, 0.45, 0.5):
        for shared in (0.1, 0.2, 0.25, 0.3, 0.4, 0.5):
            ranking.MIN_COSINE, ranking.MIN_TERM_OVERLAP = alike, shared
            came = figures()
            mark = "  <- present" if (alike, shared) == present else ""
            print(
                f"{alike:5.2f}  {shared:6.2f}  {came.found:5}  {came.besides:7.2f}  "
                f"{came.near:4}  {came.others:9}{mark}\n"
            )


if __name__ == "__main__":
    main()
