"""Gives mkdocs the Markdown where it lies: pages keep their paths in the repository, so that every link holds in both.

Besides the pages the site holds the files that they link to, and the scripts that the theme would ask from the net.
Not here: a copy of any page, or a second set of links.
"""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

ROOT = Path(__file__).parents[2]
PAGES = ("*.md", "docs/**/*.md", "infra/*.md")
LINKED = (
    "LICENSE",
    "contracts/asyncapi.json",
    "infra/topology.json",
    "infra/project.json",
    "infra/bigquery/*.json",
)
SERVICES = "docs/services/*.md"
PICTURES = ("docs/**/*.svg", "docs/**/*.png", "docs/**/*.gif", "docs/**/*.webp")

FETCHED = ROOT / ".tools/site/node_modules"
"""What npm has fetched (docs/site/package.json); without it the theme asks the net, and the pages are the same."""
DIAGRAMS = "assets/javascripts/mermaid.js"
SEARCH = "assets/javascripts/iframe-worker.js"
SCRIPTS = {
    DIAGRAMS: FETCHED / "@mermaid-js/tiny/dist/mermaid.tiny.js",
    SEARCH: FETCHED / "iframe-worker/shim/index.js",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Each service's page, and the search's script from the site itself: the theme takes what carries its name."""
    for pages in (entry["Services"] for entry in config.nav or () if "Services" in entry):
        pages[:0] = [{path.stem: path.relative_to(ROOT).as_posix()} for path in sorted(ROOT.glob(SERVICES))]
    if FETCHED.exists():
        config.extra["polyfills"] = [SEARCH]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """The pages of the repository, and what they link to, beside the theme's own files."""
    for pattern in (*PAGES, *LINKED, *PICTURES):
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    if FETCHED.exists():
        for name, path in SCRIPTS.items():
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_content(html: str, *, page: Page, **_: object) -> str:
    """The script of the diagrams where there are any: it is large, and the theme fetches none where one is there."""
    if 'class="mermaid"' not in html or not FETCHED.exists():
        return html
    return f'{html}<script src="{get_relative_url(DIAGRAMS, page.url)}"></script>'
