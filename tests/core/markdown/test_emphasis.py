"""Bold text next to the punctuation of every script, on every platform."""

import pytest

from core.markdown.document import Document, Emphasis, Paragraph, Strong, Text
from core.markdown.plain_text import to_plain_text
from tests.bots.formatted_text import BOLD, discord_text, telegram_part, terminal_text
from tests.core.markdown.samples import parse_markdown

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


ARITHMETIC = (
    "3**2 + 4**2 = 5**2",
    "5*3*2 = 30, -2*-3*4",
    "2*x*y and 2*pi*r and 3*pi*h",
    "f(x)=a*b+c*d",
    "a**2+b**2, x1*x2*x3, π*r**2*h",
    "(a+b)*(c+d)*2, (x)*y*z",
    "a[i]*b[j]*c",
    "width*2 + height*2, 2*width + 3*height, 2*width*height",
    "width*height + depth*length",
    "pi*r^2 + pi*h^2",
    "e**(i*pi)+e**(i*pi), sin(x)*cos(x)*2*sin(y)",
    "x**(n-1)*y**(n-1), n*(n-1)*(n-2)",
    "价格3*5*2元",
    "3**2**2 = 3**4, 2*x*y*",
    "The cost is 2*5 dollars* per day.",
    "10*20 cm* and 30*40 cm*",
    "2**8 bytes** and 2**16 bytes**",
    "*required. Area = 3*4 m",
    "f(*args, **kwargs) and 2**3",
    "**Total: 3**2 = 9",
)
EMPHASIS = {
    "un*frigging*believable": ["frigging"],
    "sub*script*s and sub*script*s": ["script", "script"],
    "c**a**t, re**con**struct": ["a", "con"],
    "**2**nd and **1**st": ["2", "1"],
    "*f*(*x*), *n*th, *n*(n+1)": ["f", "x", "n", "n"],
    "**x**2, **Array a**[0], *the function f*(x)": ["x", "Array a", "the function f"],
    "**Note: 3**2 + 4**2 = 5**2**": ["Note: 3**2 + 4**2 = 5**2"],
    "*Note: 2*x*y*": ["Note: 2*x*y"],
    "*Note:* 2*x*y **b** 3*z*y": ["Note:", "b"],
    "ה**ספר הגדול** כאן, Haupt**bahnhof Nord**": ["ספר הגדול", "bahnhof Nord"],
    "太**1**な, **重要**1**点**": ["1", "重要", "点"],
    "**x*y** z": ["x*y"],
    "The **a*b** term": ["a*b"],
    "**F=m*a** ist": ["F=m*a"],
    "**x*y**: product": ["x*y"],
    "**5*x** and": ["5*x"],
    "**2*x + 3*y** z": ["2*x + 3*y"],
    "**(x*y)** z": ["(x*y)"],
    "**x*y**, **p*q**": ["x*y", "p*q"],
    "***Note: 3**2 + 4**2***": ["Note: 3**2 + 4**2"],
    "***Q1**2024 ends*": ["Q12024 ends"],
    "1**st** place, 2**nd** place": ["st", "nd"],
    "Kapitel 1**Titel**": ["Titel"],
    "The 3**most important** things": ["most important"],
    "3**D**-Druck": ["D"],
    "Nr. 1**a** und 2**b**": ["a", "b"],
    "глава 5**важно** и": ["важно"],
    "5**bold**, 5**bold**吧": ["bold", "bold"],
    "**Q1**2024": ["Q1"],
    "**Q4**2024 and **Q1**2025": ["Q4", "Q1"],
    "这是**Q1**2024": ["Q1"],
    "**Top 10**2024": ["Top 10"],
    "**v1**2": ["v1"],
    "**Version 1.2**2024, **Area: see page**2": ["Version 1.2", "Area: see page"],
    "**Total: 3**2 = 9, **b**": ["b"],
    "[1]**b**": ["b"],
    "see [1]*note here* ok": ["note here"],
    "(siehe oben)*kursiv gedruckt* und": ["kursiv gedruckt"],
    "H**2**O, H**2**SO**4**": ["2", "2", "4"],
    "CO**2**": ["2"],
    "\\**5 2**3 `**x**` **b**": ["b"],
}


@pytest.mark.parametrize(("text", "kind"), [("[link](u)**b**", Strong), ("[link](u)*b*", Emphasis)])
def test_emphasis_begins_directly_after_a_link(text: str, kind: type[Emphasis | Strong]) -> None:
    (paragraph,) = parse_markdown(text).blocks
    assert isinstance(paragraph, Paragraph)
    assert paragraph.children[1:] == (kind((Text("b"),)),)


@pytest.mark.parametrize("text", ARITHMETIC)
def test_arithmetic_keeps_its_signs(text: str) -> None:
    assert to_plain_text(parse_markdown(text)) == text
    assert terminal_text(text).strip() == text
    assert telegram_part(text).text == text
    assert discord_text(text).replace("\\", "") == text


@pytest.mark.parametrize(
    "text", ["The size is 2*n bytes for an `int*` and 3*4 more", "Use `a/*` for 2*n, `b/*` for 3*n"]
)
def test_stars_in_code_make_no_sign_emphasis(text: str) -> None:
    assert to_plain_text(parse_markdown(text)) == text.replace("`", "")


@pytest.mark.parametrize("text", EMPHASIS)
def test_emphasis_in_and_next_to_words_stays(text: str) -> None:
    (paragraph,) = parse_markdown(text).blocks
    assert isinstance(paragraph, Paragraph)
    marked = [node for node in paragraph.children if isinstance(node, (Emphasis, Strong))]
    assert [to_plain_text(Document((Paragraph(node.children),))) for node in marked] == EMPHASIS[text]
