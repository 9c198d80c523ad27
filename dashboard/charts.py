"""The charts as Vega-Lite specifications. Pure: no data, no colour; the theme and the page put them in.

Each chart reads one small table by its name, which the page makes and also shows as a table to whoever prefers one.
A datum with `faded` true is out of the choice made in another chart.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import altair as alt
import vl_convert

from dashboard.europe import COLUMNS, ROWS

Spec = dict[str, Any]
Chart = Any
"""One of Altair's; its methods are typed as giving anything."""

TABLE: Final = "rows"
"""Name of the table that the page puts into each chart."""
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
TYPES: Final = ("album", "single", "compilation")
TRACK_BINS: Final = (
    ("1", 1),
    ("2 to 3", 3),
    ("4 to 6", 6),
    ("7 to 9", 9),
    ("10 to 12", 12),
    ("13 to 16", 16),
    ("17 or more", None),
)
"""Name and last number of tracks of each bar."""
KINDS: Final = ("new", "listed before")
_FADED: Final = alt.condition("datum.faded", alt.value(0.25), alt.value(1))


def _chart() -> Chart:
    return alt.Chart(alt.NamedData(name=TABLE))


def lists() -> dict[str, Any]:
    """What charts and page must name alike."""
    return {"weekdays": WEEKDAYS, "types": TYPES, "track_bins": TRACK_BINS, "kinds": KINDS}


def specifications() -> dict[str, Spec]:
    """Every chart of both pages, by its name."""
    return {name: _finished(make()) for name, make in CHARTS.items()}


def drawings(configs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each chart as Vega draws it, by its name: its height, and a specification for each theme by the theme's name.

    Made of Vega-Lite's here and once, and not in the browser of each reader. Width, height and rows come there.
    """
    return {
        name: {"height": spec["height"]} | {theme: _compiled(spec, config) for theme, config in configs.items()}
        for name, spec in specifications().items()
    }


def _compiled(spec: Spec, config: Any) -> Spec:
    size = {"width": 1, "height": 1}
    compiled: Spec = vl_convert.vegalite_to_vega(spec | size, config=config)
    return compiled


def _finished(chart: Chart) -> Spec:
    spec: Spec = chart.to_dict()
    spec.pop("config", None)  # Altair's own default; the theme brings one
    spec["autosize"] = {"type": "fit-x", "contains": "padding", "resize": True}
    return spec


def _history() -> Chart:
    """New and known releases, week by week; the chosen week is marked, and one that lacks something is, too."""
    weeks = alt.X(
        "week:O",
        title=None,
        axis=alt.Axis(labelExpr=_MONTH, labelAngle=0, labelOverlap="greedy", labelAlign="left"),
    )
    tooltip = [
        alt.Tooltip("week:N", title="week"),
        alt.Tooltip("kind:N", title="were"),
        alt.Tooltip("releases:Q"),
        alt.Tooltip("note:N", title=" "),
    ]
    bars = (
        _chart()
        .mark_bar(cornerRadius=1)
        .encode(
            x=weeks,
            y=alt.Y("releases:Q", title="releases", stack="zero"),
            color=alt.Color("kind:N", title=None, scale=alt.Scale(domain=list(KINDS), range="diverging")),
            order=alt.Order("place:Q"),
            opacity=alt.condition("datum.chosen", alt.value(1), alt.value(0.45)),
            tooltip=tooltip,
        )
    )
    marks = (
        _chart()
        .transform_filter("datum.mark")
        .mark_text(baseline="bottom", dy=-2, style="ink")
        .encode(x=weeks, y="top:Q", text="mark:N", tooltip=tooltip)
    )
    return (bars + marks).properties(width="container", height=190)


# The first week of a month carries its name.
_MONTH: Final = "+substring(datum.value, 8, 10) <= 7 ? monthAbbrevFormat(+substring(datum.value, 5, 7) - 1) : ''"


def _tiles() -> Chart:
    """Europe as one tile for each market; a tile's colour is its number."""
    base = _chart().encode(
        x=alt.X("column:O", axis=None, scale=alt.Scale(domain=list(range(COLUMNS)), paddingInner=0.07)),
        y=alt.Y("row:O", axis=None, scale=alt.Scale(domain=list(range(ROWS)), paddingInner=0.07)),
        tooltip=[alt.Tooltip("name:N", title="market"), alt.Tooltip("meaning:N", title=" ")],
    )
    tiles = base.mark_rect(cornerRadius=5, cursor="pointer").encode(
        color=alt.Color("shade:Q", legend=None, scale=alt.Scale(zero=False))
    )
    chosen = base.transform_filter("datum.chosen").mark_rect(cornerRadius=5, fillOpacity=0, style="outline")
    contrast = alt.condition("datum.strong", alt.value("white"), alt.value("black"))
    codes = base.mark_text(fontSize=11, fontWeight=600, dy=-6, cursor="pointer").encode(
        text="market:N", color=contrast
    )
    values = base.mark_text(fontSize=11, dy=8, cursor="pointer").encode(text="label:N", color=contrast)
    return (tiles + chosen + codes + values).properties(width="container", height=420)


def _reach() -> Chart:
    """How many markets a release is in."""
    return (
        _chart()
        .mark_rect()
        .encode(
            x=alt.X("markets:Q", title="listed in so many markets", scale=alt.Scale(nice=False, zero=False)),
            x2="markets_end",
            y2=alt.datum(0),
            y=alt.Y("releases:Q", title="releases, logarithmic", scale=alt.Scale(type="symlog", constant=3)),
            tooltip=[alt.Tooltip("label:N", title="listed in"), alt.Tooltip("releases:Q")],
        )
        .properties(width="container", height=170)
    )


def _overlap() -> Chart:
    """Markets against markets, both in the order of likeness."""
    base = _chart().encode(
        x=alt.X("other:N", sort=alt.EncodingSortField("other_place", "min"), axis=_market_axis(angle=-90)),
        y=alt.Y("market:N", sort=alt.EncodingSortField("place", "min"), axis=_market_axis(angle=0)),
    )
    # Two thousand cells: each is drawn, not made an element of, and its tooltip is no more than two fields.
    tooltip = alt.ExprRef("{markets: datum.pair, ' ': datum.meaning}")
    cells = base.mark_rect(cursor="pointer", tooltip=tooltip).encode(
        color=alt.Color(
            "share:Q",
            title="releases in common",
            legend=alt.Legend(format="%", gradientLength=140, gradientThickness=8, tickCount=3),
        )
    )
    chosen = base.transform_filter("datum.chosen").mark_rect(
        fillOpacity=0, style="outline", strokeWidth=1, strokeOpacity=0.6
    )
    canvas = {"embedOptions": {"renderer": "canvas"}}
    return (cells + chosen).properties(width="container", height=560, usermeta=canvas)


def _market_axis(*, angle: int) -> alt.Axis:
    return alt.Axis(title=None, labelAngle=angle, labelFontSize=9, labelPadding=3, labelOverlap="greedy")


def _likest() -> Chart:
    """The markets that share most with the chosen one."""
    base = _chart().encode(y=alt.Y("name:N", title=None, sort=alt.EncodingSortField("share", order="descending")))
    bars = base.mark_bar(cornerRadiusEnd=2, height={"band": 0.7}, cursor="pointer").encode(
        x=alt.X("share:Q", title=None, axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
        tooltip=[alt.Tooltip("name:N", title="market"), alt.Tooltip("meaning:N", title=" ")],
    )
    return alt.layer(bars).properties(width="container", height={"step": 24})


def _artists() -> Chart:
    """Artists by number of markets."""
    base = _chart().encode(y=alt.Y("artist:N", title=None, sort=None, axis=alt.Axis(labelLimit=170)))
    stems = base.mark_bar(height=2, style="quiet").encode(
        x=alt.X("markets:Q", title="markets", scale=alt.Scale(domainMin=0), axis=alt.Axis(tickMinStep=1))
    )
    dots = base.mark_point(opacity=1).encode(
        x="markets:Q",
        size=alt.Size("tracks:Q", legend=None, scale=alt.Scale(range=[60, 300])),
        tooltip=[
            alt.Tooltip("artist:N"),
            alt.Tooltip("markets:Q"),
            alt.Tooltip("releases:Q"),
            alt.Tooltip("tracks:Q"),
        ],
    )
    return (stems + dots).properties(width="container", height={"step": 24})


def _types() -> Chart:
    """Albums, singles, compilations."""
    return _rows("type", TYPES)


def _weekdays() -> Chart:
    """Releases by the weekday of their release."""
    return (
        _chart()
        .mark_bar(cornerRadiusEnd=3, width={"band": 0.72}, cursor="pointer")
        .encode(
            x=alt.X("weekday:N", title=None, sort=list(WEEKDAYS), axis=alt.Axis(labelAngle=0, labelExpr=_FIRST_3)),
            y=alt.Y("releases:Q", title="releases", axis=alt.Axis(tickMinStep=1)),
            opacity=_FADED,
            tooltip=[alt.Tooltip("weekday:N", title="released on a"), alt.Tooltip("releases:Q")],
        )
        .properties(width="container", height=200)
    )


_FIRST_3: Final = "slice(datum.label, 0, 3)"


def _rows(field: str, order: tuple[str, ...]) -> Chart:
    base = _chart().encode(
        y=alt.Y(f"{field}:N", title=None, sort=list(order), axis=alt.Axis(labelFontSize=13)),
        tooltip=[alt.Tooltip(f"{field}:N"), alt.Tooltip("releases:Q"), alt.Tooltip("share:Q", format=".0%")],
    )
    bars = base.mark_bar(cornerRadiusEnd=3, height={"band": 0.6}, cursor="pointer").encode(
        x=alt.X("releases:Q", axis=None),
        color=alt.Color(f"{field}:N", legend=None, scale=alt.Scale(domain=list(order))),
        opacity=_FADED,
    )
    numbers = base.mark_text(align="left", dx=6, fontWeight=600, style="ink").encode(
        x="releases:Q", text="releases:Q"
    )
    room = base.mark_point(opacity=0).encode(x="limit:Q")
    return (bars + numbers + room).properties(width="container", height={"step": 48})


def _track_counts() -> Chart:
    """Releases by how many tracks they have, and what they are called."""
    return (
        _chart()
        .mark_bar(cornerRadius=1, width={"band": 0.8})
        .encode(
            x=alt.X(
                "tracks:N", title="tracks", sort=[name for name, _ in TRACK_BINS], axis=alt.Axis(labelAngle=0)
            ),
            y=alt.Y("releases:Q", title="releases", axis=alt.Axis(tickMinStep=1)),
            color=alt.Color("type:N", title=None, scale=alt.Scale(domain=list(TYPES))),
            tooltip=[alt.Tooltip("type:N"), alt.Tooltip("tracks:N"), alt.Tooltip("releases:Q")],
        )
        .properties(width="container", height=200)
    )


def _lengths() -> Chart:
    """Tracks by length, in half minutes."""
    return (
        _chart()
        .mark_rect()
        .encode(
            x=alt.X("minutes:Q", title="minutes", axis=alt.Axis(tickMinStep=1, tickCount=8)),
            x2="minutes_end",
            y=alt.Y("tracks:Q", title="tracks"),
            y2=alt.datum(0),
            tooltip=[alt.Tooltip("label:N", title="length"), alt.Tooltip("tracks:Q", format=",")],
        )
        .properties(width="container", height=200)
    )


def _delays() -> Chart:
    """For each market, when the first, middle and last half of its new releases had come."""
    base = _chart().encode(
        y=alt.Y(
            "name:N",
            title=None,
            sort=alt.EncodingSortField("place", "min"),
            axis=alt.Axis(labelFontSize=11, labelLimit=150),
        ),
        tooltip=[
            alt.Tooltip("name:N", title="market"),
            alt.Tooltip("middle:Q", title="half were listed within days", format=".0f"),
            alt.Tooltip("mean:Q", title="days on average", format=".1f"),
            alt.Tooltip("releases:Q", title="new releases"),
        ],
    )
    spans = base.mark_bar(height=4, cornerRadius=2, style="quiet").encode(
        x=alt.X(
            "low:Q", title="days from release to list", scale=alt.Scale(domainMin=0), axis=alt.Axis(tickMinStep=1)
        ),
        x2="high:Q",
    )
    dots = base.mark_point(size=70, opacity=1).encode(x="mean:Q", opacity=_FADED)
    return (spans + dots).properties(width="container", height={"step": 17})


def _artist_weeks() -> Chart:
    """In how many markets an artist is, week by week; a week that lacks markets is a gap."""
    return (
        _chart()
        .mark_line(point=True, invalid="break-paths-show-path-domains")
        .encode(
            x=alt.X(
                "week:O",
                title=None,
                axis=alt.Axis(labelExpr=_MONTH, labelAngle=0, labelOverlap="greedy", labelAlign="left"),
            ),
            y=alt.Y("markets:Q", title="markets", scale=alt.Scale(domainMin=0), axis=alt.Axis(tickMinStep=1)),
            tooltip=[alt.Tooltip("week:N", title="week"), alt.Tooltip("markets:Q")],
        )
        .properties(width="container", height=190)
    )


def _waterfall() -> Chart:
    """A run's stages, one after the other."""
    base = _chart().encode(
        y=alt.Y("stage:N", title=None, sort=None, axis=alt.Axis(labelFontSize=13)),
        tooltip=[alt.Tooltip("stage:N"), alt.Tooltip("label:N", title="took")],
    )
    bars = base.mark_bar(cornerRadius=3, height={"band": 0.55}).encode(
        x=alt.X("begin:Q", title="seconds since the tick", scale=alt.Scale(domainMin=0)),
        x2="end:Q",
        opacity=alt.condition("datum.open", alt.value(0.45), alt.value(1)),
    )
    texts = base.mark_text(align="left", dx=6, style="ink").encode(x="end:Q", text="label:N")
    room = base.mark_point(opacity=0).encode(x="limit:Q")
    return (bars + texts + room).properties(width="container", height={"step": 40})


CHARTS: Final[Mapping[str, Callable[[], Chart]]] = {
    "history": _history,
    "tiles": _tiles,
    "reach": _reach,
    "overlap": _overlap,
    "likest": _likest,
    "artists": _artists,
    "types": _types,
    "weekdays": _weekdays,
    "track_counts": _track_counts,
    "lengths": _lengths,
    "delays": _delays,
    "artist_weeks": _artist_weeks,
    "waterfall": _waterfall,
}
