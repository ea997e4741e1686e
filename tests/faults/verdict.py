"""The figures of a run: counted, shown, asserted."""

from collections import Counter
from statistics import median

from rich.console import Console
from rich.table import Table

from core.turns import words
from tests.end_to_end.world import letters
from tests.faults.crowd import Crowd
from tests.faults.fleet import Fleet
from tests.faults.judge import Fate, told

__all__ = ["Verdict", "recoveries"]

NOTICED = 1.5  # seconds after a kill in which the model's stand-in sees the stream end


class Verdict:
    """What a crowd got out of a run, by platform."""

    def __init__(self, crowd: Crowd, fleet: Fleet) -> None:
        self.counts: dict[str, Counter[str]] = {}
        self.strange: list[str] = []
        self.bad: list[str] = []
        """Questions that fared ill, with how and what stands there."""
        self.words: Counter[str] = Counter()
        """By which words failures were told."""
        for asker in crowd.askers:
            judged = asker.judged()
            counts = self.counts.setdefault(asker.room.platform, Counter())
            counts["turns"] += len(asker.asked)
            counts["orphans"] += judged.orphans
            counts["out of order"] += judged.disorder
            counts["not asked"] += len(asker.questions) - len(asker.asked)
            for id_, fate in judged.fates.items():
                counts[fate] += 1
                if fate in (Fate.LOST, Fate.PART, Fate.TWICE):
                    self.bad.append(f"{id_}: {fate}: {judged.shown[id_]!r}")
                if fate is Fate.TOLD:
                    self.words[told(judged.shown[id_]) or ""] += 1
            self.strange += judged.strange
        self.unkept: list[str] = []
        """Questions the database does not hold exactly once, or has not ended: a word about a
        failure that stands near says nothing of those.
        """
        if fleet.kept is not None:
            self.unkept = [
                question.id
                for asker in crowd.askers
                for question in asker.asked
                if fleet.kept[question.id] != 1
            ]
            self.unkept += ["open"] * fleet.kept["open"]
        self.broken = fleet.broken()
        self.died = fleet.died
        self.recoveries = recoveries(crowd, fleet)
        self.kills = len(fleet.kills)

    def total(self, what: str) -> int:
        return sum(counts[what] for counts in self.counts.values())

    def show(self, title: str, seed: int, **more: object) -> None:
        table = Table(title=f"{title} (CHAOS_SEED={seed})")
        platforms = sorted(self.counts)
        for heading in ("", *platforms):
            table.add_column(heading, justify="right" if heading else "left")
        rows = ["turns", "not asked", *Fate, "out of order", "orphans"]
        for row in rows:
            table.add_row(row, *(str(self.counts[platform][row]) for platform in platforms))
        figures: dict[str, object] = {"kills": self.kills}
        figures["not kept once and ended"] = len(self.unkept)
        if self.recoveries:
            figures["interrupted turns"] = len(self.recoveries)
            figures["recovery, median and most"] = (
                f"{median(self.recoveries):.1f} s, {max(self.recoveries):.1f} s"
            )
        figures |= {f"told: {said[:24]}": times for said, times in self.words.items()}
        for name, value in (figures | more).items():
            table.add_row(name, str(value))
        Console(width=100).print(table, *self.bad[:20], *self.strange[:20], sep="\n")

    def sound(self, *, told: bool = False) -> None:
        """Nothing lost, nothing twice, in order, whole; `told`: failures may be told instead.

        Where a platform has no keys a death between its taking a message and the note of it
        leaves a doubt in any case, which is told.
        """
        assert self.bad == []
        assert self.unkept == []
        assert self.total("not asked") == 0
        assert self.total("out of order") == 0
        assert self.strange == []
        assert self.broken == []
        assert self.died == []
        if not told:
            assert set(self.words) <= {letters(words.DOUBT)}
            assert self.counts.get("discord", Counter())[Fate.TOLD] == 0
        assert self.counts.get("discord", Counter())["orphans"] == 0


def recoveries(crowd: Crowd, fleet: Fleet) -> list[float]:
    """For each answer that a kill interrupted: seconds from the kill until it was finished."""
    found = []
    for request in crowd.world.model.requests:
        if request.completed or request.disconnected_at is None:
            continue
        question = crowd.questions.asked(request.body)
        if question is None:
            continue
        ends = [
            question.done_at - kill
            for kill in fleet.kills
            if question.done_at is not None
            and 0 <= request.disconnected_at - kill < NOTICED
            and question.done_at > kill
        ]
        found += ends[:1]
    return found
