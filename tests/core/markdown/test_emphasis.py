"""Bold text next to the punctuation of every script, on every platform."""

import pytest

from tests.bots.formatted_text import BOLD, terminal_text

CASES = {
    "これは**「重要」**な点です。": ["「重要」"],
    "**历经10年发展，**年": ["历经10年发展，"],
    "**「A」**なので**「B」**": ["「A」", "「B」"],
    "**终于(finally)**来了": ["终于(finally)"],
    "这是**“重要”**的": ["“重要”"],
    "**‘单引号’**也是": ["‘单引号’"],
    "**《红楼梦》**是书，**【注】**也是": ["《红楼梦》", "【注】"],
    "使用**npm install。**然后": ["npm install。"],
    "太**郎は***「花」*と言った": ["郎は"],
    "**重要。**次": ["重要。"],
    "**ｶﾅ｡**ﾃｽﾄ": ["ｶﾅ｡"],
    '**"스크립트"**는 좋다': ['"스크립트"'],
    "**마크다운(Markdown)**은 **무엇?**인가": ["마크다운(Markdown)", "무엇?"],
    "**한국어(韓國語)**를": ["한국어(韓國語)"],
    'นี่คือ**"สำคัญ"**มาก': ['"สำคัญ"'],
    "ຄຳ**(ສຳຄັນ)**ນີ້": ["(ສຳຄັນ)"],
    "**重要✨**です": ["重要✨"],
    "**葛\U000e0100**。**「葛\U000e0100」**は": ["葛\U000e0100", "「葛\U000e0100」"],
    "**Note:**text": ["Note:"],
    "**「A」**、**「B」**、**「C」**": ["「A」", "「B」", "「C」"],
    "__「重要」__な": ["「重要」"],
    "これは__「重要」__です": ["「重要」"],
    "「a」と__init__や__name__です": [],
    '"**a**" and (**b**)': ["a", "b"],
    "snake**(x)**case": [],
    "2 ** 3 ** 4": [],
    "これは**「重": [],
}


@pytest.mark.parametrize("platform", BOLD)
@pytest.mark.parametrize("text", CASES)
def test_bold_next_to_punctuation(platform: str, text: str) -> None:
    assert BOLD[platform](text) == CASES[text]


def test_bold_marks_are_not_shown() -> None:
    assert terminal_text("これは**「重要」**な点です。").strip() == "これは「重要」な点です。"
