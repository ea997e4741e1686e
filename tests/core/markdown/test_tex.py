"""Formulas as text."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.markdown.tex import MAX_DEPTH, MAX_TEX_CHARS, tex_to_unicode

CASES = {
    r"\frac{a}{b}": "a/b",
    r"\rightarrow": "→",
    r"\geq": "≥",
    r"\alpha \beta + \Gamma_1": "αβ + Γ₁",
    r"x_{ij}^{n+1}": "xᵢⱼⁿ⁺¹",
    r"\sqrt{2}": "√2",
    r"\sqrt[3]{x+1}": "∛(x+1)",
    r"\sqrt[n]{x}": "ⁿ√x",
    r"\sum_{i=1}^n i = \frac{n(n+1)}{2}": "∑ᵢ₌₁ⁿ i = n(n+1)/2",
    r"\prod_{k=1}^{n} k": "∏ₖ₌₁ⁿ k",
    r"\int_0^\infty e^{-x^2}\,dx": "∫₀^∞ e^(-x²) dx",
    r"E = mc^2": "E = mc²",
    r"x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}": "x = (-b ± √(b² - 4ac))/(2a)",
    r"\lim_{x \to 0} \frac{\sin x}{x}": "lim_(x → 0) ((sin x)/x)",
    r"\frac12 m v^2": "(1/2) m v²",
    r"2\frac{1}{2}": "2(1/2)",
    r"\frac{1}{n}\sum_{i=1}^n x_i": "(1/n)∑ᵢ₌₁ⁿ xᵢ",
    r"\left(\frac{a}{b}\right)^2": "(a/b)²",
    r"\frac{dy}{dx}": "dy/dx",
    r"\frac{\partial f}{\partial x}": "(∂f)/∂x",
    r"\sqrt{2}x": "√(2)x",
    r"\text{if } x > 0": "if x > 0",
    r"\operatorname*{argmax}_x f": "argmaxₓ f",
    r"\text{速度} = \frac{\text{距離}}{\text{時間}}": "速度 = 距離/時間",
    r"\mathbb{R}^n": "ℝⁿ",
    r"\mathbf{A}\mathbf{x} = \lambda\mathbf{x}": "𝐀𝐱 = λ𝐱",
    r"\vec{v} \cdot \hat{w}": "v⃗ · ŵ",
    r"\bar{x}": "x̄",
    r"90^\circ": "90°",
    r"H_2O": "H₂O",
    r"\mathrm{CO_2}": "CO₂",
    r"10^{-3}": "10⁻³",
    r"\log_2 n + n\log n + \sin\theta": "log₂ n + n log n + sin θ",
    r"a\leq b\implies c\in D": "a ≤ b ⇒ c ∈ D",
    r"x \not\in \{1, 2\}": "x ∉ {1, 2}",
    r"\neg p \land q": "¬p ∧ q",
    r"\forall x \exists y": "∀x ∃y",
    r"P(A \mid B)": "P(A | B)",
    r"\left. f \right|_{x=0}": "f |ₓ₌₀",
    r"\binom{n}{k}": "C(n, k)",
    r"a \equiv b \pmod{n}": "a ≡ b (mod n)",
    r"A \xrightarrow{f} B": "A →ᶠ B",
    r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}": "(a b; c d)",
    r"\begin{cases} x & x > 0 \\ 0 & \text{otherwise} \end{cases}": "{x, x > 0; 0, otherwise}",
    r"\begin{align*} x^2 &= 4 \\ x &= 2 \end{align*}": "x² = 4\nx = 2",
    r"a = b \\ c = d": "a = b\nc = d",
    r"\boxed{42}": "42",
    r"f'(x)": "f′(x)",
    r"x^\prime + y^{\prime\prime}": "x′ + y′′",
    r"E = mc^2 \tag{1}": "E = mc² (1)",
    r"\begin{array}{c|c} a & b \\ c & d \end{array}": "[a b; c d]",
    r"p \land \bot": "p ∧ ⊥",
    r"x^{AC}": "x^(AC)",
    r"\theta_{\mathrm{eff}}": "θ_(eff)",
    r"50\% \text{ of } \$5": "50% of $5",
}


@pytest.mark.parametrize("tex", CASES)
def test_formula_is_text(tex: str) -> None:
    assert tex_to_unicode(tex) == CASES[tex]


@pytest.mark.parametrize(
    "tex",
    [
        "",
        " ",
        "\\",
        "{",
        "}",
        "x^",
        r"\frac{a}",
        r"\frac{}{}",
        r"\unknown{x}",
        r"\underbrace{a+b}_{c}",
        r"\begin{align} a",
        r"\begin{align} a \end{gather}",
        r"\begin{tikzpicture} a \end{tikzpicture}",
        r"\def\x{\x\x}\x",
        r"\input{/etc/passwd}",
        r"\today",
        r"\text{a {b}}",
        "x" * (MAX_TEX_CHARS + 1),
        "{" * (MAX_DEPTH + 1) + "x" + "}" * (MAX_DEPTH + 1),
        r"\sqrt" * 1000 + "x",
        "x" + "^" * 1000,
    ],
)
def test_other_formulas_stay_tex(tex: str) -> None:
    assert tex_to_unicode(tex) is None


MARKS = ["\\", "{", "}", "^", "_", "&", "\\\\", "a", "1", "$", "'", "~", " ", "[", "]"]
BEGINNINGS = ["\\frac", "\\sqrt", "\\begin{align}", "\\end{align}", "\\left(", "\\text{", "\\hat", "\\not"]
TEX = st.lists(st.sampled_from([*CASES, *MARKS, *BEGINNINGS]), max_size=6).map("".join)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEX)
def test_any_formula_is_text_or_stays(tex: str) -> None:
    text = tex_to_unicode(tex)
    assert text is None or all(line.strip() for line in text.split("\n"))
