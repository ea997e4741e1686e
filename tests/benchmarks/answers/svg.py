"""Plots as SVG: lines over time, and bars of ratios."""

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 60, 140, 40, 45
COLOURS = ("#1f6feb", "#2da44e", "#d29922", "#cf222e", "#8250df", "#57606a")
TICKS = 5


def line_chart(title: str, x_label: str, y_label: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """One line for each series of points. Both axes begin at zero."""
    points = [point for line in series.values() for point in line]
    x_max = max((x for x, _ in points), default=0) or 1
    y_max = max((y for _, y in points), default=0) or 1
    parts = [*_axes(y_label, y_max), _text(LEFT + _plot_width() / 2, HEIGHT - 8, x_label, "middle")]
    for tick in range(TICKS + 1):
        x = LEFT + _plot_width() * tick / TICKS
        parts.append(_text(x, HEIGHT - BOTTOM + 16, f"{x_max * tick / TICKS:.3g}", "middle"))
    for index, (name, line) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{LEFT + x / x_max * _plot_width():.1f},{_y(y, y_max):.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts += _legend(index, name, colour)
    return _document(title, parts)


def bar_chart(title: str, y_label: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    """A group of bars for each key. A line marks the value 1."""
    names = list(dict.fromkeys(name for bars in groups.values() for name in bars))
    y_max = max((value for bars in groups.values() for value in bars.values()), default=0) or 1
    y_max = max(y_max, 1.0)
    parts = _axes(y_label, y_max)
    group_width = _plot_width() / max(1, len(groups))
    bar_width = group_width * 0.8 / max(1, len(names))
    for number, (group, bars) in enumerate(groups.items()):
        left = LEFT + group_width * (number + 0.1)
        parts.append(_text(left + group_width * 0.4, HEIGHT - BOTTOM + 16, group, "middle"))
        for name, value in bars.items():
            index = names.index(name)
            x, y = left + bar_width * index, _y(value, y_max)
            size = f'width="{bar_width * 0.9:.1f}" height="{HEIGHT - BOTTOM - y:.1f}"'
            parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{COLOURS[index % len(COLOURS)]}"/>')
            parts.append(_text(x + bar_width * 0.45, y - 3, f"{value:.2g}", "middle"))
    one = _y(1, y_max)
    parts.append(f'<line x1="{LEFT}" y1="{one:.1f}" x2="{WIDTH - RIGHT}" y2="{one:.1f}" stroke="black"/>')
    for index, name in enumerate(names):
        parts += _legend(index, name, COLOURS[index % len(COLOURS)])
    return _document(title, parts)


def _plot_width() -> float:
    return WIDTH - LEFT - RIGHT


def _y(value: float, y_max: float) -> float:
    return HEIGHT - BOTTOM - value / y_max * (HEIGHT - TOP - BOTTOM)


def _axes(y_label: str, y_max: float) -> list[str]:
    parts = [_text(8, TOP - 12, y_label, "start")]
    for tick in range(TICKS + 1):
        y = _y(y_max * tick / TICKS, y_max)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#d0d7de"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{y_max * tick / TICKS:.3g}", "end"))
    return parts


def _legend(index: int, name: str, colour: str) -> list[str]:
    x, y = WIDTH - RIGHT + 12, TOP + 18 * index
    return [f'<rect x="{x}" y="{y}" width="10" height="10" fill="{colour}"/>', _text(x + 16, y + 9, name, "start")]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _document(title: str, parts: Sequence[str]) -> str:
    heading = f'<text x="{WIDTH / 2}" y="18" text-anchor="middle" font-size="14">{escape(title)}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join([heading, *parts])
        + "\n</svg>\n"
    )
