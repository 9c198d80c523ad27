"""Where each market stands on the tile map: column from the west, row from the north. Pure."""

from typing import Final

_ROWS: Final = (
    ". IS . . NO SE FI . . . . .",
    "IE GB . . DK . . EE . . . .",
    ". . . NL DE PL LT LV BY . . .",
    ". . BE LU . CZ SK UA MD . . .",
    ". . FR CH LI AT HU RO . . GE .",
    ". AD MC IT SM SI HR RS BG . AM AZ",
    "PT ES . . . . BA XK MK TR . .",
    ". . . . MT . ME AL GR . CY .",
)

COLUMNS: Final = 12
ROWS: Final = len(_ROWS)
TILES: Final = {
    market: (column, row)
    for row, line in enumerate(_ROWS)
    for column, market in enumerate(line.split())
    if market != "."
}
