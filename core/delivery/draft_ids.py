"""Numbers drafts: each part of a turn's answer has its own, and a press of Stop reports only the number.

Each turn has 64 numbers, counted from 1: turn 2 has 129 to 192. Longer answers reuse them.
"""

DRAFTS_PER_TURN = 64


def encode_draft_id(turn_id: int, position: int) -> int:
    return turn_id * DRAFTS_PER_TURN + position % DRAFTS_PER_TURN + 1


def turn_of_draft(draft_id: int) -> int:
    return (draft_id - 1) // DRAFTS_PER_TURN
