"""Draws an album's cover: the same for the same album, and unlike most others. Pure."""

import hashlib
import re
from typing import Final

from local.spotify.shapes import IMAGE_WIDTHS

_NAME: Final = re.compile(rf"([0-9A-Za-z]{{22}})({'|'.join(map(str, IMAGE_WIDTHS))})")
_DISCS: Final = 5


def cover(name: str) -> str | None:
    """The picture of this name as SVG, `shapes.image_url` without its address; None where no cover has that name."""
    asked = _NAME.fullmatch(name)
    return _drawn(asked[1], int(asked[2])) if asked else None


def _drawn(album_id: str, width: int) -> str:
    chance = hashlib.sha256(album_id.encode()).digest()
    hue = chance[0] * 360 // 256
    discs = "".join(
        f'<circle cx="{chance[3 * at + 1]}" cy="{chance[3 * at + 2]}" r="{20 + chance[3 * at + 3] // 3}" '
        f'fill="hsl({(hue + 40 * at + 60) % 360} 70% 60% / 0.8)"/>'
        for at in range(_DISCS)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{width}" viewBox="0 0 256 256">'
        f'<rect width="256" height="256" fill="hsl({hue} 60% 25%)"/>{discs}</svg>'
    )
