"""The palette, once, for the page's styles and for the charts. Pure.

Blue, orange and grey stay apart for every kind of colour vision, and every text colour has at least 4.5:1 on its
ground, light and dark.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

FONT: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", sans-serif'


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """Colours by what they are for."""

    ground: str
    """Behind everything."""
    surface: str
    """Of a card."""
    sunken: str
    """Of a field inside a card."""
    line: str
    ink: str
    muted: str
    """Text of second rank."""
    accent: str
    """What is looked at: new, chosen, albums."""
    accent_soft: str
    second: str
    """The counterpart of the accent: singles, throttled."""
    third: str
    """What was there before: seen, compilations."""
    quiet: str
    """Marks that are not meant."""
    good: str
    bad: str
    ramp: tuple[str, ...]
    """From nothing to all."""


LIGHT: Final = Palette(
    ground="#f5f3ee",
    surface="#fffefb",
    sunken="#f1eee7",
    line="#e2ded4",
    ink="#1d2228",
    muted="#5d6570",
    accent="#1f5fa8",
    accent_soft="#dfe9f5",
    second="#c46a0a",
    third="#8a929c",
    quiet="#d9d6ce",
    good="#22734f",
    bad="#b3261e",
    ramp=("#eaf0f7", "#cddcec", "#a3c0df", "#6a98c8", "#3573b1", "#123f74"),
)
DARK: Final = Palette(
    ground="#101317",
    surface="#181c22",
    sunken="#20252d",
    line="#2d343e",
    ink="#e9ebee",
    muted="#a3abb6",
    accent="#86b5ee",
    accent_soft="#22344b",
    second="#f0a04b",
    third="#7f8995",
    quiet="#363d47",
    good="#6cc79b",
    bad="#ff9389",
    ramp=("#20252d", "#24405f", "#2f6196", "#5289c6", "#86b5ee", "#d4e5fa"),
)


def stylesheet_variables() -> str:
    """The palette as custom properties; `light-dark()` follows the page's color-scheme."""
    light, dark = asdict(LIGHT), asdict(DARK)
    lines = [
        f"  --{name.replace('_', '-')}: light-dark({light[name]}, {dark[name]});"
        for name in light
        if name != "ramp"  # of the charts alone
    ]
    return ":root {\n" + "\n".join(lines) + f"\n  --font: {FONT};\n}}\n"


def chart_config(palette: Palette) -> dict[str, Any]:
    """A Vega-Lite config: the specifications name no colour, so that one serves both themes."""
    text = {"labelColor": palette.muted, "titleColor": palette.muted}
    return {
        "aria": False,  # a chart is one picture, which the page itself tells
        "background": "transparent",
        "font": FONT,
        "padding": 2,
        "view": {"stroke": None},
        "axis": {
            **text,
            "domain": False,
            "grid": False,
            "gridColor": palette.line,
            "labelFontSize": 12,
            "labelPadding": 6,
            "ticks": False,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 10,
        },
        "axisQuantitative": {"grid": True, "tickCount": 4},
        "legend": {
            **text,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "orient": "top",
            "symbolType": "circle",
            "offset": 6,
        },
        "text": {"color": palette.ink, "fontSize": 12},
        "bar": {"color": palette.accent},
        "rect": {"color": palette.accent},
        "line": {"color": palette.accent},
        "point": {"color": palette.accent, "filled": True},
        "range": {
            "category": [palette.accent, palette.second, palette.third],
            "diverging": [palette.accent, palette.third],  # two kinds, one of which is meant
            "heatmap": list(palette.ramp),
            "ramp": list(palette.ramp),
        },
        "style": {
            "quiet": {"fill": palette.quiet, "stroke": palette.quiet},
            "ink": {"fill": palette.ink},
            "outline": {"stroke": palette.ink, "strokeWidth": 2},
        },
    }


def chart_configs() -> dict[str, dict[str, Any]]:
    """Both, by the theme's name."""
    return {"light": chart_config(LIGHT), "dark": chart_config(DARK)}
