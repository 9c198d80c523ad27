"""Gives mkdocs the Markdown where it lies: pages keep their paths in the repository, so that every link holds in both.

Besides the pages the site holds the files that they link to. Not here: a copy of any page, or a second set of links.
"""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PAGES = ("*.md", "docs/**/*.md", "infra/*.md")
LINKED = ("LICENSE", "contracts/asyncapi.json", "infra/topology.json", "infra/bigquery/*.json")
PICTURES = ("docs/**/*.svg", "docs/**/*.png", "docs/**/*.gif", "docs/**/*.webp")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """The pages of the repository, and what they link to, beside the theme's own files."""
    for pattern in (*PAGES, *LINKED, *PICTURES):
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files
