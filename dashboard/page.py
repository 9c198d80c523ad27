"""Puts a page together, for the server or as one file. Pure: bytes of the assets come in, HTML goes out.

The server's page names its scripts and styles; the file holds them, and its policy allows these very bytes and
nothing else. Both forbid inline handlers, `eval` and every address but the page's own.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from dashboard.charts import lists
from dashboard.europe import TILES
from dashboard.theme import stylesheet_variables

STYLES: Final = "style.css"
SCRIPTS: Final[Mapping[str, tuple[str, ...]]] = {
    "data-page.js": ("page.js", "week.js", "releases.js", "figures.js", "singles.js", "data.js"),
    "runs-page.js": ("page.js", "runs.js"),
}
"""What each page's script is made of, in the order in which it runs: a page asks for one, not for six."""
FIRST: Final = ("weeks", "weeks/newest")
"""What the data page shows first, where its address asks for nothing else: on its way before the script is."""
CHART_LIBRARY: Final = "vega.js"
"""Large: a served page asks for it once its first view stands. The charts' specifications come with it."""
ICON: Final = "icon.svg"

_CLOSED: Final = "default-src 'none'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an operator decides about the page."""

    images: str = ""
    """Below which covers lie; empty where none are shown."""
    is_invented: bool = False
    """Whether the data come from a simulator."""
    left_out: tuple[str, ...] = ()
    embed_in: str = ""
    """Sites that may show the page in a frame."""
    logo: str = ""
    """Spotify's, as a data address; empty where the name is written."""
    console: str = ""
    """Where logs, clusters and jobs can be seen; empty where they cannot."""
    project: str = ""
    region: str = ""

    @property
    def policy(self) -> str:
        """The served page's: everything from here, covers from the one place where they lie."""
        host = urlsplit(self.images)
        covers = f" {host.scheme}://{host.netloc}" if self.images else ""
        logo = " data:" if self.logo else ""
        framers = self.embed_in or "'none'"
        return (
            f"{_CLOSED}; frame-ancestors {framers}; script-src 'self'; style-src 'self'; "
            f"img-src 'self'{covers}{logo}; connect-src 'self'"
        )


@dataclass(frozen=True, slots=True)
class Assets:
    """Everything a page is made of, by file name: templates, styles, scripts, icon."""

    texts: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        text = "\n".join(self.texts[part] for part in SCRIPTS.get(name, (name,)))
        return stylesheet_variables() + text if name == STYLES else text


def served_page(assets: Assets, page: str, told: Told, ahead: Sequence[str] = ()) -> str:
    """A page whose script and styles are asked from the server.

    Args:
        assets: See `Assets`.
        page: data or runs.
        told: What an operator decided.
        ahead: Documents that its script will ask for, by path.
    """
    head = [
        *_looks(assets),
        f'<script defer src="/assets/{_stamped(assets, f"{page}-page.js")}"></script>',
        *(f'<link rel="preload" as="fetch" crossorigin href="/api/{path}">' for path in ahead),
    ]
    library = f"/assets/{_stamped(assets, CHART_LIBRARY)}"
    return _filled(assets[f"{page}.html"], head, [_told(told, library)], told)


def fault_page(assets: Assets, status: int, reason: str) -> str:
    """What a reader sees in place of a page that is not there."""
    title = "There is no such page" if status == HTTPStatus.NOT_FOUND else "This cannot be shown"
    filled = {
        "head": "\n".join(_looks(assets)),
        "status": str(status),
        "title": title,
        "reason": html.escape(reason),
    }
    return re.sub("<!-- (.+?) -->", lambda place: filled[place[1]], assets["fault.html"])


def _looks(assets: Assets) -> list[str]:
    return [
        f'<link rel="icon" href="/assets/{ICON}" type="image/svg+xml">',
        f'<link rel="stylesheet" href="/assets/{_stamped(assets, STYLES)}">',
    ]


def exported_page(assets: Assets, documents: Mapping[str, Any], told: Told, *, made_at: str) -> str:
    """The data page as one file that needs no server.

    Args:
        assets: See `Assets`.
        documents: What the page would ask the server for, by path, such as `weeks` and `weeks/2026-11-23`.
        told: What an operator decided; `images` is empty or "data:", where covers are in the documents themselves.
        made_at: When it was made, for the reader.
    """
    styles, scripts = assets[STYLES], [_closable(assets[name]) for name in ("data-page.js", CHART_LIBRARY)]
    policy = f"{_CLOSED}; script-src {' '.join(map(_digest, scripts))}; style-src {_digest(styles)}; img-src data:"
    icon = base64.b64encode(assets[ICON].encode()).decode()
    head = [
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        f'<link rel="icon" href="data:image/svg+xml;base64,{icon}">',
        f"<style>{styles}</style>",
    ]
    foot = [
        _told(told, None),
        _block("documents", {"made_at": made_at, "documents": documents}),
        *(f"<script>{script}</script>" for script in scripts),
    ]
    return _filled(assets["data.html"], head, foot, told)


def _told(told: Told, library: str | None) -> str:
    fields = {
        name: getattr(told, name) for name in ("images", "is_invented", "left_out", "console", "project", "region")
    }
    return _block("told", {**fields, "lists": lists(), "tiles": TILES, "library": library})


def _filled(template: str, head: list[str], foot: list[str], told: Told) -> str:
    """The foot last: what is in the data is no place to be filled."""
    name = f'<img src="{told.logo}" alt="Spotify">' if told.logo else "Spotify"
    filled = template.replace("<!-- spotify -->", name).replace("<!-- head -->", "\n".join(head))
    return filled.replace("<!-- foot -->", "\n".join(foot))


def _block(name: str, content: Any) -> str:
    """Data inside a page. A `<` would let a title that holds `</script>` end the block."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


def _closable(script: str) -> str:
    """A script as it may stand inside a page: nothing in it ends the element."""
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _stamped(assets: Assets, name: str) -> str:
    """The asset's name with its content's digest: it can be kept for ever, and a new one is another address."""
    return f"{name}?{version_of(assets, name)}"


def version_of(assets: Assets, name: str) -> str:
    """Tells one content of an asset from another."""
    return hashlib.sha256(assets[name].encode()).hexdigest()[:12]
