"""The figures of a run: counts, a printed table, and the assertions."""

from collections import Counter
from statistics import median

from rich.console import Console
from rich.table import Table

from core.texts import answers as texts
from tests.end_to_end.harness import letters_only
from tests.faults.fleet import Fleet
from tests.faults.outcomes import Outcome, failure_notice
from tests.faults.population import Population

DISCONNECT_NOTICED_SECONDS = 1.5
"""Within which the model stand-in notices that a killed process has left the stream."""


class RunReport:
    """The outcomes of a run, by platform."""

    def __init__(self, population: Population, fleet: Fleet) -> None:
        self.counts: dict[str, Counter[str]] = {}
        self.unexpected: list[str] = []
        self.failures: list[str] = []
        """Questions without a correct outcome, with their visible text."""
        self.notices: Counter[str] = Counter()
        """How often each failure notice appeared."""
        for user in population.users:
            outcomes = user.outcomes()
            counts = self.counts.setdefault(user.client.platform, Counter())
            counts["turns"] += len(user.asked)
            counts["orphans"] += outcomes.orphans
            counts["out of order"] += outcomes.out_of_order
            counts["not asked"] += len(user.questions) - len(user.asked)
            for id_, outcome in outcomes.by_question.items():
                counts[outcome] += 1
                if outcome in (Outcome.LOST, Outcome.PARTIAL, Outcome.DUPLICATED):
                    self.failures.append(f"{id_}: {outcome}: {outcomes.texts[id_]!r}")
                if outcome is Outcome.NOTIFIED:
                    self.notices[failure_notice(outcomes.texts[id_]) or ""] += 1
            self.unexpected += outcomes.unexpected
        self.unstored: list[str] = []
        """Questions that the database does not hold exactly once, or whose turn is not finished."""
        if fleet.stored is not None:
            self.unstored = [
                question.id for user in population.users for question in user.asked if fleet.stored[question.id] != 1
            ]
            self.unstored += ["open"] * fleet.stored["open"]
        self.defects = fleet.defect_lines()
        self.unexpected_exits = fleet.unexpected_exits
        self.recovery_times = recovery_times(population, fleet)
        self.kill_count = len(fleet.kill_times)
        self.diagnosis = "\n".join(("What happened to the processes:", *fleet.events, "Log:", fleet.log_end()))

    def total(self, key: str) -> int:
        return sum(counts[key] for counts in self.counts.values())

    def print_summary(self, title: str, seed: int, **figures: object) -> None:
        table = Table(title=f"{title} (CHAOS_SEED={seed})")
        platforms = sorted(self.counts)
        for heading in ("", *platforms):
            table.add_column(heading, justify="right" if heading else "left")
        rows = ["turns", "not asked", *Outcome, "out of order", "orphans"]
        for row in rows:
            table.add_row(row, *(str(self.counts[platform][row]) for platform in platforms))
        all_figures: dict[str, object] = {"kills": self.kill_count}
        all_figures["not stored exactly once"] = len(self.unstored)
        if self.recovery_times:
            all_figures["interrupted turns"] = len(self.recovery_times)
            all_figures["recovery, median and maximum"] = (
                f"{median(self.recovery_times):.1f} s, {max(self.recovery_times):.1f} s"
            )
        all_figures |= {f"notice: {notice[:24]}": count for notice, count in self.notices.items()}
        for name, value in (all_figures | figures).items():
            table.add_row(name, str(value))
        Console(width=100).print(table, *self.failures[:20], *self.unexpected[:20], sep="\n")

    def assert_sound(self, *, allow_notices: bool = False) -> None:
        """Assert that nothing was lost, duplicated, incomplete or out of order.

        With `allow_notices`, a question may end with a failure notice. Without it, only the notice that delivery is
        uncertain is allowed on Telegram: a process that dies between a send and its record leaves that doubt.
        """
        try:
            self._assert_sound(allow_notices)
        except AssertionError as error:
            error.add_note(self.diagnosis)
            raise

    def _assert_sound(self, allow_notices: bool) -> None:
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


def recovery_times(population: Population, fleet: Fleet) -> list[float]:
    """For each answer that a kill interrupted, the seconds from the kill to the complete answer."""
    times = []
    for request in population.harness.model.requests:
        if request.is_completed or request.disconnected_at is None:
            continue
        question = population.questions.question_of(request.body)
        if question is None:
            continue
        durations = [
            question.answered_at - kill
            for kill in fleet.kill_times
            if question.answered_at is not None
            and 0 <= request.disconnected_at - kill < DISCONNECT_NOTICED_SECONDS
            and question.answered_at > kill
        ]
        times += durations[:1]
    return times
