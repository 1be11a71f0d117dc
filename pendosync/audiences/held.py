"""Which audiences Pendo has, by id and name. Their members can't be read in a call.

Source: Pendo's public API collection names the calls; what they answer was seen in public clients, read 2026-11-23.
"""

from __future__ import annotations

from pendosync.client import Client
from pendosync.errors import RefusedError
from pendosync.frames import is_unicode
from pendosync.shapes import Audience


async def read_audiences(client: Client) -> dict[str, str]:
    """Return the audiences that the key may see: id → name. For the client's loop only.

    Raises:
        RemoteError: they can't be read, or have another shape.
    """
    answer = await client.request("GET", "/api/v1/segment")
    told = answer.json()
    if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
        raise answer.unreadable("no list of audiences", expected='[{"id": …, "name": …}, …]')
    named = [(one.get("id"), one.get("name")) for one in told]
    return {id_: name for id_, name in named if _is_text(id_) and _is_text(name)}


async def read_audience(client: Client, id_: str) -> Audience | None:
    """Return one audience, nameless where Pendo says no name, or None where there is none of that id.

    Raises:
        RemoteError: it can't be read.
    """
    try:
        answer = await client.request("GET", Audience(id_).path)
    except RefusedError as error:
        if error.status == 404:
            return None
        raise
    told = answer.json()
    name = told.get("name") if isinstance(told, dict) else None
    return Audience(id_, name if isinstance(name, str) and _is_text(name) else "")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value) and is_unicode(value)
