"""Loads what the pages are made of: our own files beside this one, and the chart library out of its package."""

import json
import tempfile
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Final

import vl_convert

from dashboard.charts import drawings
from dashboard.page import CHART_LIBRARY, ICON, SCRIPTS, STYLES, Assets
from dashboard.theme import chart_configs

_SNIPPET: Final = "window.vegaEmbed = vegaEmbed;"
_OURS: Final = (
    "data.html",
    "runs.html",
    "fault.html",
    STYLES,
    ICON,
    *dict.fromkeys(name for names in SCRIPTS.values() for name in names),
)


def load(keep: Path | None = None) -> Assets:
    """Read them; the chart library takes about two seconds to be put together.

    vl-convert carries Vega, Vega-Lite and vega-embed (BSD-3-Clause), so that nothing is fetched and nothing of
    theirs is kept here.

    Args:
        keep: A folder that keeps the chart library for the next process.
    """
    folder = resources.files("dashboard") / "static"
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in _OURS}
    # In a function of its own: its hundreds of names would otherwise be those of our scripts.
    texts[CHART_LIBRARY] = f"{_charts()}(function(){{{_kept_bundle(keep) if keep else _bundle()}}})();"
    return Assets(texts)


@cache
def _charts() -> str:
    """The same for every page; Altair checks each specification against its schema, which takes half a second."""
    return f"window.charts={json.dumps(drawings(chart_configs()), separators=(',', ':'))};\n"


def _bundle() -> str:
    return str(vl_convert.javascript_bundle(_SNIPPET))


def _kept_bundle(folder: Path) -> str:
    file = folder / f"vl-convert-{metadata.version('vl-convert-python')}.js"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, encoding="utf-8", delete=False) as written:
            written.write(_bundle())
        Path(written.name).replace(file)
    return file.read_text(encoding="utf-8")
