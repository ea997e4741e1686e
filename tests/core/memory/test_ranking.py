from core.memory.ranking import extract_terms, rank
from core.store.memories import ChunkKind, ScoredChunk
from tests.benchmarks import bench_recall

NOTE = "The wifi password is heron-42"


def candidate(number: int, text: str, cosine: float) -> ScoredChunk:
    return ScoredChunk(number, ChunkKind.NOTE, "", "note", text, cosine)


def test_shared_terms_outrank_similarity() -> None:
    candidates = [
        candidate(1, "Pumps are guaranteed by their makers for some time.", 0.62),
        candidate(2, "The Kestrel K-77 stops after 31 months.", 0.5),
        candidate(3, "A word about the weather.", 0.2),
    ]
    ranked = rank("How long is the Kestrel K-77 guaranteed?", candidates)
    assert [chunk.id for chunk in ranked] == [2, 1]


def test_unrelated_text_is_excluded() -> None:
    assert rank("Write a poem about spring", [candidate(1, NOTE, 0.3)]) == []
    assert rank("the wifi of the cabin?", [candidate(1, NOTE, 0.3)])


def test_terms_match_whole_or_by_prefix() -> None:
    def shares_term(question: str, text: str) -> bool:
        return bool(rank(question, [candidate(1, text, 0.0)]))

    assert shares_term("Which guarantees are there?", "It is guaranteed.")
    assert shares_term("the wifi?", "Wifi: on")
    assert not shares_term("the wifi?", "wifis and hawifi")
    assert shares_term("付款期限是几天？", "付款期限是十五天")
    assert not shares_term("???", "anything")


def test_terms_of_many_scripts() -> None:
    assert extract_terms("What is the K-77's voltage?") == {"77", "voltag"}
    assert extract_terms("合同编号") == {"合同", "同编", "编号"}
    assert extract_terms("Какая гарантия?") == {"какая", "гарант"}


def test_recall_precision_on_samples() -> None:
    result = bench_recall.measure()
    assert result.fitting_notes >= 23, "of 24"
    assert result.other_notes < 0.1
    assert result.similar_questions <= 5, "of 24"
    assert result.unrelated_questions == 0
