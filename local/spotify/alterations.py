"""What an ordered fault does to a freshly worded answer. Pure, but for the answer, which it changes.

Not here: which calls a fault meets (`faults`), and what takes the place of an answer (`answers`).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from local.spotify.endpoints import ApiError
from local.spotify.faults import Effect, Fault, drawn
from local.spotify.shapes import Json


def alter(fault: Fault, body: Json) -> None:
    """Do to a freshly worded answer what a fault says; effects that act elsewhere leave it alone.

    Raises:
        ApiError: the fault is that there is no such thing.
    """
    change = _CHANGES.get(fault.rule.effect)
    if change is not None:
        change(fault, body)


def _change_page(fault: Fault, body: Json) -> None:
    page = _page(body)
    if page is None:
        return
    match fault.rule.effect:
        case "empty_page":
            page["items"] = []
        case "unstable_total":
            page["total"] = max(0, page["total"] + (-7, 13, 0)[fault.number % 3])
        case "repeated":
            page["items"] += page["items"][:1]
        case _:
            page["next"] = page["href"]


def _change_listing(fault: Fault, body: Json) -> None:
    page = body.get("albums")
    if not isinstance(page, dict):
        return
    match fault.rule.effect:
        case "null_listing":
            body["albums"] = None
        case "null_items":
            page["items"] = None
        case "no_ids":
            page["items"] = [{**entry, "id": None} for entry in page["items"]]
        case "empty_of_many":
            page |= {"items": [], "next": None}
        case _:
            page |= {"items": [], "next": None, "total": 0}


def _relink(fault: Fault, body: Json) -> None:
    for album in _whole_albums(body):
        if _chosen(fault, album):
            album["id"] = album["id"][::-1]


def _shorten(fault: Fault, body: Json) -> None:
    lists = [album["tracks"] for album in _whole_albums(body) if _chosen(fault, album)]
    if "/tracks" in str(body.get("href")) and drawn(f"{fault.key}/{_album_of(body)}", fault.rule.probability):
        lists.append(body)
    for tracks in lists:
        if tracks["total"] > 1 and tracks["next"] is None:
            tracks["items"] = tracks["items"][:-1]


def _album_of(page: Json) -> str:
    """Whose tracks a page holds, by its address."""
    return str(page["href"]).partition("/albums/")[2].partition("/")[0]


def _whole_albums(body: Json) -> list[Json]:
    """The albums of the answer that bring their tracks."""
    return [album for album in _objects(body, "album") if "tracks" in album]


def _spell_as_floats(_fault: Fault, body: Json) -> None:
    for entry in _objects(body, "track"):
        numbers = {name: float(value) for name, value in entry.items() if type(value) is int}
        entry.update(numbers)


def _change_albums(fault: Fault, body: Json) -> None:
    taken_down = fault.rule.effect == "takedown"
    change = {"name": ""} if taken_down else {"release_date": fault.rule.value, "release_date_precision": "year"}
    for album in _objects(body, "album"):
        if _chosen(fault, album):
            album.update(change)


def _change_fields(fault: Fault, body: Json) -> None:
    for entry in _objects(body, fault.rule.of):
        for name in fault.rule.fields:
            if fault.rule.effect != "missing_fields":
                entry[name] = fault.rule.odd if fault.rule.effect == "odd_fields" else None
            else:
                entry.pop(name, None)


def _lose_albums(fault: Fault, body: Json) -> None:
    if fault.rule.effect == "gone" and body.get("type") == "album" and _chosen(fault, body):
        raise ApiError(404, "Resource not found")
    if isinstance(body.get("albums"), list):
        body["albums"] = [None if _chosen(fault, entry) else entry for entry in body["albums"]]


def _put_nulls(_fault: Fault, body: Json) -> None:
    for value in list(_dicts(body)):
        for name in ("items", "artists", "images"):
            if isinstance(value.get(name), list):
                value[name].insert(min(1, len(value[name])), None)


_CHANGES: Final[Mapping[Effect, Callable[[Fault, Json], None]]] = {
    "empty_page": _change_page,
    "unstable_total": _change_page,
    "repeated": _change_page,
    "loop": _change_page,
    "null_entries": _put_nulls,
    "null_albums": _lose_albums,
    "release_date": _change_albums,
    "takedown": _change_albums,
    "null_fields": _change_fields,
    "missing_fields": _change_fields,
    "odd_fields": _change_fields,
    "floats": _spell_as_floats,
    "null_listing": _change_listing,
    "null_items": _change_listing,
    "no_ids": _change_listing,
    "empty_of_many": _change_listing,
    "no_albums": _change_listing,
    "gone": _lose_albums,
    "relinked": _relink,
    "short": _shorten,
}


def _chosen(fault: Fault, album: Json | None) -> bool:
    if album is None or fault.rule.album not in {None, album["id"]}:
        return False
    return drawn(f"{fault.key}/{album['id']}", fault.rule.probability)


def _page(body: Json) -> Json | None:
    """The page that was asked for: a listing's, or a list of tracks; an album's embedded page is not one."""
    page = body.get("albums", body)
    return page if isinstance(page, dict) and "items" in page else None


def _objects(body: Json, kind: str) -> Iterator[Json]:
    return (value for value in _dicts(body) if value.get("type") == kind)


def _dicts(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _dicts(child)
