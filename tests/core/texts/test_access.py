"""What an operator reads about people who ask for access."""

import pytest

from core.texts import access

ANN, BOB = ("Ann", "telegram:person:7"), ("Bob", "telegram:person:8")


def test_one_request_is_a_sentence() -> None:
    assert access.pending_requests([ANN], 1) == "`Ann` wants to use this bot: `telegram:person:7`"


def test_two_requests_are_numbered() -> None:
    assert access.pending_requests([ANN, BOB], 2) == (
        "2 people want to use this bot:\n\n1. `Ann`: `telegram:person:7`\n2. `Bob`: `telegram:person:8`"
    )


@pytest.mark.parametrize(
    ("count", "rest"),
    [
        (3, "1 more is waiting and will appear when you have decided."),
        (4, "2 more are waiting and will appear when you have decided."),
        (1502, "1,500 more are waiting and will appear when you have decided."),
    ],
)
def test_requests_that_are_not_shown_are_counted(count: int, rest: str) -> None:
    first, *_, last = access.pending_requests([ANN, BOB], count).split("\n\n")
    assert first == f"{count:,} people want to use this bot:"
    assert last == rest


@pytest.mark.parametrize(
    ("name", "shown"), [("x" * 40, f"`{'x' * 40}`"), ("x" * 41, f"`{'x' * 40}`"), ("", "`?`"), ("\u200b`", "`?`")]
)
def test_name_is_shown_as_code_and_cut_at_40_characters(name: str, shown: str) -> None:
    assert access.request_decided(name, is_approved=False) == f"Declined: {shown}."


def test_decision_names_the_person() -> None:
    assert access.request_decided("Ann", is_approved=True) == "Approved: `Ann` can use this bot now."


def test_earlier_decision_names_who_made_it() -> None:
    approved = access.request_already_decided("Ann", "Olga", is_approved=True)
    refused = access.request_already_decided("Ann", "Olga", is_approved=False)
    assert (approved, refused) == ("`Olga` has already approved `Ann`.", "`Olga` has already declined `Ann`.")
