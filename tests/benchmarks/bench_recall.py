"""Measures which thresholds of the ranking separate notes that fit a question from those that do not.

The data are 24 notes of one person, each with a question that it answers and a question that shares a
word with it but asks about something else, and 20 unrelated questions. For thresholds around the current
ones the benchmark prints how many fitting notes are recalled, how many other notes with them, and for how
many of the other questions a note is recalled. The vectors are the sandbox's; the cosines of other models
differ, so the numbers show how the rule behaves, not what is best for every model.

Run by hand: `python -m tests.benchmarks.bench_recall`.
"""

import sys
from dataclasses import dataclass

import numpy as np

from bots.sandbox.model.embeddings import embed_text
from core.memory.ranking import MIN_COSINE, MIN_TERM_OVERLAP, rank
from core.memory.service import QUERY_PREFIX
from core.store.memories import ChunkKind, ScoredChunk

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
"""(note, a question it answers, a question that shares a word with it)"""
UNRELATED_QUESTIONS = (
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
class Measurement:
    fitting_notes: int
    """Notes recalled for the question they answer."""
    other_notes: float
    """Other notes recalled with them, per question."""
    similar_questions: int
    """Questions sharing a word with a note for which any note is recalled."""
    unrelated_questions: int
    """Unrelated questions for which any note is recalled."""


def candidates(question: str) -> list[ScoredChunk]:
    vector = embed_text(QUERY_PREFIX + question)
    return [
        ScoredChunk(number, ChunkKind.NOTE, "", "", text, float(np.dot(vector, embed_text(text))))
        for number, (text, _, _) in enumerate(NOTES)
    ]


def measure(min_cosine: float = MIN_COSINE, min_term_overlap: float = MIN_TERM_OVERLAP) -> Measurement:
    def recall(question: str) -> set[int]:
        ranked = rank(question, candidates(question), min_cosine=min_cosine, min_term_overlap=min_term_overlap)
        return {note.id for note in ranked}

    recalled_notes = [recall(question) for _, question, _ in NOTES]
    return Measurement(
        fitting_notes=sum(number in notes for number, notes in enumerate(recalled_notes)),
        other_notes=sum(len(notes - {number}) for number, notes in enumerate(recalled_notes)) / len(NOTES),
        similar_questions=sum(bool(recall(question)) for _, _, question in NOTES),
        unrelated_questions=sum(bool(recall(question)) for question in UNRELATED_QUESTIONS),
    )


def quantiles(name: str, cosines: list[float]) -> str:
    ordered = sorted(cosines)
    values = (ordered[int((len(ordered) - 1) * share)] for share in (0, 0.1, 0.5, 0.9, 1))
    return f"{name:>32}  " + "  ".join(f"{value:5.2f}" for value in values) + "\n"


def main() -> None:
    write = sys.stdout.write
    write("cosines: min, p10, median, p90, max\n")
    fitting = [candidates(question)[number].score for number, (_, question, _) in enumerate(NOTES)]
    similar = [max(note.score for note in candidates(question)) for _, _, question in NOTES]
    unrelated = [max(note.score for note in candidates(question)) for question in UNRELATED_QUESTIONS]
    write(quantiles("fitting note", fitting))
    write(quantiles("best of a similar question", similar))
    write(quantiles("best of an unrelated question", unrelated) + "\n")
    write(f"of {len(fitting)} fitting notes, {len(similar)} similar and {len(unrelated)} unrelated questions\n")
    write("MIN_COSINE  MIN_TERM_OVERLAP  fitting  other  similar  unrelated\n")
    for min_cosine in (0.25, 0.3, 0.35, 0.4, 0.45, 0.5):
        for min_term_overlap in (0.1, 0.2, 0.25, 0.3, 0.4, 0.5):
            result = measure(min_cosine, min_term_overlap)
            is_current = (min_cosine, min_term_overlap) == (MIN_COSINE, MIN_TERM_OVERLAP)
            write(
                f"{min_cosine:10.2f}  {min_term_overlap:16.2f}  {result.fitting_notes:7}  {result.other_notes:5.2f}  "
                f"{result.similar_questions:7}  {result.unrelated_questions:9}{'  <- current' if is_current else ''}\n"
            )


if __name__ == "__main__":
    main()
