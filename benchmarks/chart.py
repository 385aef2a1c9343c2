"""A horizontal bar chart as SVG, readable on light and dark pages. Pure."""

from collections.abc import Mapping
from html import escape

WIDTH, LABELS, VALUES, BAR, GAP, HEAD = 760, 300, 90, 22, 10, 40
OURS, THEIRS, INK = "#2f7ed8", "#9aa5b1", "#6b7785"


def bars(title: str, unit: str, figures: Mapping[str, float]) -> str:
    """Return the chart of these figures, all above zero. Those whose name begins with "engine" are ours."""
    longest = max(figures.values())
    height = HEAD + len(figures) * (BAR + GAP) + GAP
    rows = [_row(at, name, value, longest) for at, (name, value) in enumerate(figures.items())]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            'font-family="system-ui, sans-serif" font-size="13">',
            f"<title>{escape(title)}</title>",
            f'<text x="0" y="18" fill="{INK}" font-weight="600">{escape(title)}, {escape(unit)}</text>',
            *rows,
            "</svg>\n",
        ]
    )


def _row(at: int, name: str, value: float, longest: float) -> str:
    top = HEAD + at * (BAR + GAP)
    length = max(1.0, (WIDTH - LABELS - VALUES) * value / longest)
    colour = OURS if name.startswith("engine") else THEIRS
    return (
        f'<text x="{LABELS - 8}" y="{top + 16}" fill="{INK}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{LABELS}" y="{top}" width="{length:.1f}" height="{BAR}" rx="3" fill="{colour}"/>'
        f'<text x="{LABELS + length + 6:.1f}" y="{top + 16}" fill="{INK}">{value:,.4g}</text>'
    )
