"""The figures of a run: counted, shown, asserted."""

from collections import Counter
from statistics import median

from rich.console import Console
from rich.table import Table

from core.turns import texts
from tests.end_to_end.harness import letters_only
from tests.faults.fleet import Fleet
from tests.faults.outcomes import Outcome, failure_notice
from tests.faults.simulated_users import SimulatedUsers

__all__ = ["RunReport", "recovery_times"]

DISCONNECT_NOTICED_SECONDS = 1.5  # seconds after a kill in which the model's stand-in sees the stream end


class RunReport:
    """What a crowd got out of a run, by platform."""

    def __init__(self, users: SimulatedUsers, fleet: Fleet) -> None:
        self.counts: dict[str, Counter[str]] = {}
        self.unexpected: list[str] = []
        self.failures: list[str] = []
        """Questions that fared ill, with how and what stands there."""
        self.notices: Counter[str] = Counter()
        """By which words failures were told."""
        for asker in users.users:
            judged = asker.outcomes()
            counts = self.counts.setdefault(asker.client.platform, Counter())
            counts["turns"] += len(asker.asked)
            counts["orphans"] += judged.orphans
            counts["out of order"] += judged.out_of_order
            counts["not asked"] += len(asker.questions) - len(asker.asked)
            for id_, fate in judged.by_question.items():
                counts[fate] += 1
                if fate in (Outcome.LOST, Outcome.PARTIAL, Outcome.DUPLICATED):
                    self.failures.append(f"{id_}: {fate}: {judged.texts[id_]!r}")
                if fate is Outcome.NOTIFIED:
                    self.notices[failure_notice(judged.texts[id_]) or ""] += 1
            self.unexpected += judged.unexpected
        self.unstored: list[str] = []
        """Questions the database does not hold exactly once, or has not ended: a word about a
        failure that stands near says nothing of those.
        """
        if fleet.stored is not None:
            self.unstored = [
                question.id for asker in users.users for question in asker.asked if fleet.stored[question.id] != 1
            ]
            self.unstored += ["open"] * fleet.stored["open"]
        self.defects = fleet.defect_lines()
        self.unexpected_exits = fleet.unexpected_exits
        self.recovery_times = recovery_times(users, fleet)
        self.kill_count = len(fleet.kill_times)

    def total(self, what: str) -> int:
        return sum(counts[what] for counts in self.counts.values())

    def print_summary(self, title: str, seed: int, **more: object) -> None:
        table = Table(title=f"{title} (CHAOS_SEED={seed})")
        platforms = sorted(self.counts)
        for heading in ("", *platforms):
            table.add_column(heading, justify="right" if heading else "left")
        rows = ["turns", "not asked", *Outcome, "out of order", "orphans"]
        for row in rows:
            table.add_row(row, *(str(self.counts[platform][row]) for platform in platforms))
        figures: dict[str, object] = {"kills": self.kill_count}
        figures["not kept once and ended"] = len(self.unstored)
        if self.recovery_times:
            figures["interrupted turns"] = len(self.recovery_times)
            figures["recovery, median and most"] = (
                f"{median(self.recovery_times):.1f} s, {max(self.recovery_times):.1f} s"
            )
        figures |= {f"told: {said[:24]}": times for said, times in self.notices.items()}
        for name, value in (figures | more).items():
            table.add_row(name, str(value))
        Console(width=100).print(table, *self.failures[:20], *self.unexpected[:20], sep="\n")

    def assert_sound(self, *, allow_notices: bool = False) -> None:
        """Nothing lost, nothing twice, in order, whole; `told`: failures may be told instead.

        Where a platform has no keys a death between its taking a message and the note of it
        leaves a doubt in any case, which is told.
        """
        assert self.failures == []
        assert self.unstored == []
        assert self.total("not asked") == 0
        assert self.total("out of order") == 0
        assert self.unexpected == []
        assert self.defects == []
        assert self.unexpected_exits == []
        if not allow_notices:
            assert set(self.notices) <= {letters_only(texts.DELIVERY_UNCERTAIN)}
            assert self.counts.get("discord", Counter())[Outcome.NOTIFIED] == 0
        assert self.counts.get("discord", Counter())["orphans"] == 0


def recovery_times(users: SimulatedUsers, fleet: Fleet) -> list[float]:
    """For each answer that a kill interrupted: seconds from the kill until it was finished."""
    times = []
    for request in users.harness.model.requests:
        if request.is_completed or request.disconnected_at is None:
            continue
        question = users.questions.question_of(request.body)
        if question is None:
            continue
        ends = [
            question.answered_at - kill
            for kill in fleet.kill_times
            if question.answered_at is not None
            and 0 <= request.disconnected_at - kill < DISCONNECT_NOTICED_SECONDS
            and question.answered_at > kill
        ]
        times += ends[:1]
    return times
