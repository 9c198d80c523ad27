"""Write the generated files: `python -m contracts`; with `--check` only say whether they are fresh."""

import sys
from pathlib import Path

from contracts.catalogue import files

ROOT = Path(__file__).parent.parent


def main(arguments: list[str]) -> int:
    """Write, or check; the exit status is 1 when a file is stale."""
    stale = [path for path, text in files().items() if not _holds(ROOT / path, text)]
    if "--check" in arguments:
        for path in stale:
            sys.stderr.write(f"{path} is stale; run `python -m contracts`\n")
        return 1 if stale else 0
    for path in stale:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(files()[path], encoding="utf-8")
        sys.stdout.write(f"wrote {path}\n")
    return 0


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
