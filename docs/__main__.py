"""Write the generated pages and the generated parts of others: `python -m docs`; with `--check` only compare."""

import sys
from pathlib import Path

from docs import (
    column_tables,
    cost_tables,
    decision_tables,
    event_tables,
    rights_tables,
    settings_tables,
    terraform_tables,
)
from docs.markdown import put

DOCS = Path(__file__).parent
CLOUD_BUILD = DOCS.parent / "cloudbuild.yaml"


def pages() -> dict[Path, str]:
    """Every page that is written here, wholly or in parts, as it should be."""
    costs, security, infra = DOCS / "cost.md", DOCS / "security.md", DOCS.parent / "infra" / "README.md"
    whole = {
        DOCS / "settings.md": settings_tables.page(),
        DOCS / "events.md": event_tables.page(),
        DOCS / "table.md": column_tables.page(),
        DOCS / "decision-tables.md": decision_tables.page(),
    }
    parts = {
        CLOUD_BUILD: _cloud_build(),
        security: put(security.read_text(encoding="utf-8"), "rights", rights_tables.rights()),
        infra: _infra(infra.read_text(encoding="utf-8")),
        costs: put(costs.read_text(encoding="utf-8"), "cluster prices", cost_tables.prices()),
    }
    return whole | parts | {DOCS / "services" / f"{name}.md": _service(name) for name in settings_tables.MODELS}


def _cloud_build() -> str:
    """cloudbuild.yaml with the image of each process at its end: it can name images, but not count them."""
    text, _, _ = CLOUD_BUILD.read_text(encoding="utf-8").partition("\nimages:")
    images = [f"  - $_IMAGES/{name.replace('_', '-')}:$_TAG" for name in settings_tables.MODELS]
    return "\n".join([text, "images: # from here on written by `make docs`", *images, ""])


def _infra(text: str) -> str:
    return put(put(text, "variables", terraform_tables.variables()), "outputs", terraform_tables.outputs())


def _service(name: str) -> str:
    text = (DOCS / "services" / f"{name}.md").read_text(encoding="utf-8")
    text = put(text, "settings", settings_tables.own(name))
    if name == "dashboard":
        return text
    return put(put(text, "events", event_tables.of_service(name)), "status", event_tables.STATUS)


def main(arguments: list[str]) -> int:
    """Write the pages, or compare; the exit status is 1 when one is stale."""
    stale = {path: text for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text}
    if stale and "--check" in arguments:
        names = ", ".join(str(path.relative_to(DOCS.parent)) for path in stale)
        sys.stderr.write(f"not what the code says: {names}; write them with: make docs\n")
        return 1
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
