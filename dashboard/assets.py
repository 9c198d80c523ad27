"""Loads what the pages are made of: our own files beside this one, and the chart library out of its package."""

from importlib import resources
from typing import Final

import vl_convert

from dashboard.page import Assets

_SNIPPET: Final = "window.vegaEmbed = vegaEmbed;"
_OURS: Final = ("data.html", "runs.html", "style.css", "common.js", "data.js", "runs.js", "icon.svg")


def load() -> Assets:
    """Read them; the chart library takes about two seconds to be put together.

    vl-convert carries Vega, Vega-Lite and vega-embed (BSD-3-Clause), so that nothing is fetched and nothing of
    theirs is kept here.
    """
    folder = resources.files("dashboard") / "static"
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in _OURS}
    # In a function of its own: its hundreds of names would otherwise be those of our scripts.
    texts["vega.js"] = f"(function(){{{vl_convert.javascript_bundle(_SNIPPET)}}})();"
    return Assets(texts)
