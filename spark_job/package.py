"""Builds what is shipped to a cluster: `main.py` and one zip with the rest of this package.

The same sources give the same bytes, wherever and whenever they are built, so that an unchanged job is an unchanged
object. This module packs and is not packed. Not here: uploading.
"""

import shutil
import zipfile
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).resolve().parent
_NOT_PACKED: Final = ("main.py", "package.py")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can carry
_READABLE: Final = 0o644 << 16


def build(dest: Path) -> tuple[Path, Path]:
    """Write `main.py` and `spark_job.zip` into this folder, which is created; give both paths."""
    dest.mkdir(parents=True, exist_ok=True)
    main = Path(shutil.copyfile(SOURCES / "main.py", dest / "main.py"))
    archive = dest / "spark_job.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for module in sorted(SOURCES.glob("*.py")):
            if module.name not in _NOT_PACKED:
                entry = zipfile.ZipInfo(f"spark_job/{module.name}", _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = _READABLE
                entry.create_system = 3  # Unix, also when built on Windows
                target.writestr(entry, module.read_bytes())
    return main, archive
