"""An answer as models write it, malformed ones, and a shortcut to parse them."""

from core.markdown.document import Document
from core.markdown.parser import normalise_text, parse_blocks


def parse_markdown(text: str) -> Document:
    return Document(tuple(placed.block for placed in parse_blocks(normalise_text(text))))


ANSWER = """# Sorting in Python

Here is how **sorting** works, with `sorted()` and *keys*; see [the manual](https://docs.python.org/3/howto/sorting.html).
The cost is $O(n \\log n)$, or \\(n\\) for sorted input. It costs $5, not $10.

1. First, define the data:
   ```python
   people = [
       ("Ada", 36),
       ("Bob", 41),
   ]
   ```
2. Then sort:
   - by name
     - ascending, with **care**
     - descending
   - by age
3. Done. Compare `vector<int>` and List<String>; if a<b and c>d then stop.

| Algorithm | Best | Worst |
|:----------|:----:|------:|
| Merge     | n log n | n log n |
| **Quick** | n log n | `n^2` |
| 漢字 | a\\|b | ~~x~~ |

> Quoted advice: *test* it.
> > And test again.
>
> - in a quote

- [x] read
- [ ] write ☕ 👩‍👩‍👧‍👦

$$
E = mc^2
$$

---

```
plain | text **not bold**
```

Fin. Émile said: “naïve”. It_is_a_name and 2 * 3 * 4. @everyone <@123> <#1> :smile:
"""

MALFORMED = (
    "- item\n  ```py\n  code\n",
    "- item\n```py\ncode\n```\n- next",
    "```",
    "````md\n```py\nx\n```\n````\n",
    "~~~\nx\n~~~",
    "```markdown\n# a\n```json\n{}\n```\n\n```\nb\n```\n\nc\n```\nd",
    "1. a\n   ```py\nif x:\n    y\n   ```\n2. b\n      ```sh\n      ls\n```\nc https://x.y/_a_(b)_c_. d",
    "**bold *italic `code** x*",
    "***a** b*",
    "*a **b*** c",
    "| a | b |\n|---|---|\n| 1 |\n| 1 | 2 | 3 |\n\n| x |\n|-",
    "| a |\n|---|x\n| b |",
    "> ```\n> code\nlazy\n> - a\n>   > b\n",
    "1. a\n   1. b\n      1. c\n\n         text\n\n2. d\n10) e\n",
    "<details>\n<summary>x</summary>\n\nhidden\n</details>\n<!-- gone? --> after",
    "<think>secret</think> a & b &lt; &copy;",
    "[a](javascript:alert(1)) [b](tg://user?id=5) ![img](http://x/y.png) <http://z>",
    '[a [b](c) d](e "title") [x]: http://y\n\n[ref]: http://z\n[ref]',
    "$$\nx\n\n$$ y $$z$$ \\[ a \\] b \\begin{align}\nq\n\\end{align}",
    "\\(a \\( b\\) \\[\n\\] $ 5 $ $a$5 $x$",
    "😀 **😀** `😀` [😀](http://😀) 👩‍👩‍👧‍👦 \ud83d lone \x00 nul",
    "# \n## a\n#b\n####### c\nT\n===\nU\n---\n",
    "    indented\n\ttab\n- a\n\n      deep\n\n    b",
    "- \n-\n+ x\n* y\n-z\n",
    "a  \nb\\\nc\r\nd\re",
    "@everyone <@1> <@&2> <#3> <t:1> <:e:1> </c:1> ||s|| __u__ -# small\n-# s\n1986. a\n\\# b",
    "> " * 40 + "deep",
    "".join("  " * n + "- x\n" for n in range(30)),
    "* * *\n- - -\n- - - a\n",
    "***" * 10 + "a" + "~~" * 7 + "`" * 9,
    "[" * 50 + "]" * 50 + "(" * 50,
    "line\n" * 5 + "|\n" * 5 + "|-|\n" * 5,
)
