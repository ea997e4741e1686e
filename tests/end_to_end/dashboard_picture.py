"""Draws the Grafana dashboard as SVG: its own panels, in its own grid, with what Prometheus answers to their queries."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

GRID_COLUMNS, WIDTH, UNIT_HEIGHT = 24, 1320, 26
GAP, PADDING = 6, 12
PLOT_LEFT, PLOT_TOP = 52, 34
LEGEND_LINES, LEGEND_LINE_HEIGHT, LEGEND_ENTRY_CHARS = 3, 14, 46
CHAR_WIDTH, MORE_WIDTH = 5.6, 60
AXIS_HEIGHT = 32
TICKS = 4
COLOURS = ("#1f6feb", "#2da44e", "#d29922", "#cf222e", "#8250df", "#57606a", "#0a7ea4", "#bf3989")
BYTES_STEP = 1024
LABEL_PATTERN = re.compile(r"{{(\w+)}}")


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    points: Sequence[tuple[float, float]]
    """Seconds since the start, and values; NaN: none."""


def legend_of(target: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """What Grafana would write for a series of a query."""
    return LABEL_PATTERN.sub(lambda match: labels.get(match[1], ""), target["legendFormat"])


def draw_dashboard(
    dashboard: Mapping[str, Any], series_by_panel: Mapping[str, Sequence[Series]], seconds: float
) -> str:
    """`series_by_panel` by the panels' titles; `seconds` is the length of the time axis."""
    panels = dashboard["panels"]
    height = UNIT_HEIGHT * max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    parts = [
        _heading(panel) if panel["type"] == "row" else _panel(panel, series_by_panel[panel["title"]], seconds)
        for panel in panels
    ]
    style = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="10"'
    background = '<rect width="100%" height="100%" fill="#f4f5f5"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {style}>\n{background}\n' + "\n".join(parts) + "\n</svg>\n"


def format_value(value: float, unit: str) -> str:
    """As Grafana does."""
    match unit:
        case "s":
            return f"{value * 1000:.3g} ms" if 0 < value < 1 else f"{value:.3g} s"
        case "percentunit":
            return f"{value:.0%}" if value >= 0.1 or value == 0 else f"{value:.1%}"
        case "bytes":
            power = min(3, int(math.log(value, BYTES_STEP))) if value >= 1 else 0
            return f"{value / BYTES_STEP**power:.3g} {('B', 'KiB', 'MiB', 'GiB')[power]}"
    for divisor, suffix in ((1e6, "M"), (1e3, "K")):
        if value >= divisor:
            return f"{value / divisor:.3g} {suffix}"
    return f"{value:.3g}"


def _heading(panel: Mapping[str, Any]) -> str:
    y = panel["gridPos"]["y"] * UNIT_HEIGHT + UNIT_HEIGHT * 0.7
    return f'<text x="{PADDING}" y="{y:.0f}" font-size="14" font-weight="bold">{escape(panel["title"])}</text>'


def _panel(panel: Mapping[str, Any], series: Sequence[Series], seconds: float) -> str:
    grid, unit = panel["gridPos"], panel["fieldConfig"]["defaults"].get("unit", "short")
    column = WIDTH / GRID_COLUMNS
    width, height = grid["w"] * column - GAP, grid["h"] * UNIT_HEIGHT - GAP
    legend = _legend([line.name for line in series], width)
    plot_width = width - PLOT_LEFT - PADDING
    plot_height = height - PLOT_TOP - len(legend) * LEGEND_LINE_HEIGHT - AXIS_HEIGHT
    y_max = _round_up(
        max((value for line in series for _, value in line.points if not math.isnan(value)), default=0), unit
    )
    parts = [
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="white" stroke="#d8d9da" rx="2"/>',
        f'<text x="{PADDING}" y="19" font-size="12" font-weight="bold">{escape(panel["title"])}</text>',
    ]
    for tick in range(TICKS + 1):
        y = PLOT_TOP + plot_height * (1 - tick / TICKS)
        parts.append(f'<path d="M{PLOT_LEFT} {y:.1f}h{plot_width:.0f}" stroke="#e4e5e6"/>')
        label = format_value(y_max * tick / TICKS, unit)
        parts.append(f'<text x="{PLOT_LEFT - 5}" y="{y + 3:.1f}" text-anchor="end" fill="#57606a">{label}</text>')
    for minute in range(int(seconds // 60) + 1):
        x = PLOT_LEFT + plot_width * minute * 60 / seconds
        y = PLOT_TOP + plot_height + 13
        parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="#57606a">{minute}:00</text>')
    for index, line in enumerate(series):
        path = _path(line.points, plot_width / seconds, plot_height / y_max, plot_height)
        parts.append(f'<path d="{path}" fill="none" stroke="{_colour(index)}" stroke-width="1.4"/>')
    legend_top = PLOT_TOP + plot_height + AXIS_HEIGHT - 6
    for number, entries in enumerate(legend):
        place = f"translate(0 {legend_top + number * LEGEND_LINE_HEIGHT:.0f})"
        parts.append(f'<g transform="{place}">{"".join(entries)}</g>')
    place = f"translate({grid['x'] * column:.0f} {grid['y'] * UNIT_HEIGHT})"
    return f'<g transform="{place}">\n' + "\n".join(parts) + "\n</g>"


def _round_up(value: float, unit: str) -> float:
    """To one or two digits that four ticks divide well; above zero."""
    if value <= 0:
        return 1.0
    base = BYTES_STEP ** int(math.log(value, BYTES_STEP)) if unit == "bytes" and value >= 1 else 1
    power = 10.0 ** math.floor(math.log10(value / base)) * base
    return next(step * power for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if step * power >= value * 0.9999)


def _path(points: Sequence[tuple[float, float]], x_scale: float, y_scale: float, height: float) -> str:
    commands: list[str] = []
    is_drawing = False
    for x, value in points:
        if math.isnan(value):
            is_drawing = False
            continue
        at = f"{PLOT_LEFT + x * x_scale:.1f} {PLOT_TOP + height - value * y_scale:.1f}"
        commands.append(f"L{at}" if is_drawing else f"M{at}h.1")
        is_drawing = True
    return "".join(commands)


def _legend(names: Sequence[str], width: float) -> list[list[str]]:
    """Lines with as many names as fit."""
    lines: list[list[str]] = [[]]
    x = float(PADDING)
    for index, name in enumerate(names):
        short = name if len(name) <= LEGEND_ENTRY_CHARS else f"{name[: LEGEND_ENTRY_CHARS - 1]}…"
        entry_width = 24 + CHAR_WIDTH * len(short)
        rest = len(names) - index
        needed = entry_width + (MORE_WIDTH if rest > 1 and len(lines) == LEGEND_LINES else 0)
        if x + needed > width:
            if len(lines) == LEGEND_LINES:
                lines[-1].append(f'<text x="{x:.0f}" y="4" fill="#57606a">… {rest} more</text>')
                break
            lines.append([])
            x = float(PADDING)
        lines[-1].append(f'<rect x="{x:.0f}" y="-1" width="10" height="3" fill="{_colour(index)}"/>')
        lines[-1].append(f'<text x="{x + 14:.0f}" y="4">{escape(short)}</text>')
        x += entry_width
    return lines


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]
