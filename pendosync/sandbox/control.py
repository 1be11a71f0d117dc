"""The sandbox's own side door, `/_sandbox/…`: what it received and holds, its switches and faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pendosync.errors import SandboxError
from pendosync.sandbox.exchange import Answer, Refusal, Request, Routes, json_answer
from pendosync.sandbox.faults import fault_of
from pendosync.sandbox.keys import TOKEN_HEADER
from pendosync.sandbox.pendo import Pendo
from pendosync.sandbox.store import Store

PREFIX: Final = "_sandbox"
"""Stands in the path where a region would."""

_ROUTES: Final = Routes()
_MOST_RECORDS: Final = 20_000


@dataclass(frozen=True, slots=True)
class _Asked:
    pendo: Pendo
    request: Request
    about: Mapping[str, Any]


def answer_control(pendo: Pendo, request: Request, about: Mapping[str, Any]) -> Answer:
    """Answer a request to the side door; *about* is what the server tells of itself."""
    try:
        if request.headers.get(TOKEN_HEADER) != pendo.token:
            raise Refusal(403)
        endpoint, names = _ROUTES.find(request.method, request.parts)
        return endpoint(_Asked(pendo, request, about), **names)
    except Refusal as refusal:
        return refusal.answer
    except SandboxError as error:
        return json_answer({"error": str(error)}, 400)


@_ROUTES.at("GET", "/hello")
def say_hello(asked: _Asked) -> Answer:
    """Answer who this is: process, port, region, state file, switches."""
    return json_answer(
        {**asked.about, "region": asked.pendo.region, "switches": asked.pendo.switches.content()}
    )


@_ROUTES.at("GET", "/requests")
def read_requests(asked: _Asked) -> Answer:
    """Answer the next requests after `?since=n`."""
    entries = asked.pendo.received.since(int(asked.request.options.get("since", "0")))
    return json_answer([entry.content() for entry in entries])


@_ROUTES.at("DELETE", "/requests")
def forget_requests(asked: _Asked) -> Answer:
    """Forget the requests received, and how often each id was written."""
    asked.pendo.received.forget()
    return json_answer({})


@_ROUTES.at("GET", "/values/{region}/{kind}")
def read_values(asked: _Asked, region: str, kind: str) -> Answer:
    """Answer the next 20,000 records after `?after=id`, as held."""
    store = _store(asked, region, kind)
    return json_answer(store.held_after(kind, asked.request.options.get("after"), _MOST_RECORDS))


@_ROUTES.at("GET", "/digest/{region}/{kind}")
def read_digest(asked: _Asked, region: str, kind: str) -> Answer:
    """Answer the digest of what is held, or of `?group=` alone."""
    store = _store(asked, region, kind)
    return json_answer(store.digest(kind, asked.request.options.get("group")))


@_ROUTES.at("GET", "/writes/{region}/{kind}")
def read_writes(asked: _Asked, region: str, kind: str) -> Answer:
    """Answer how often each id was written since the requests were last forgotten."""
    _store(asked, region, kind)
    return json_answer(asked.pendo.received.writes(region, kind))


@_ROUTES.at("GET", "/fields/{region}/{kind}")
def read_fields(asked: _Asked, region: str, kind: str) -> Answer:
    """Answer every field, by group."""
    groups = _store(asked, region, kind).schema[kind].items()
    return json_answer(
        {group: {key: field.content() for key, field in fields.items()} for group, fields in groups}
    )


@_ROUTES.at("GET", "/events/{region}")
def read_events(asked: _Asked, region: str) -> Answer:
    """Answer the track events that came, processed or not."""
    return json_answer(list(_store(asked, region).events))


@_ROUTES.at("GET", "/audiences/{region}")
def read_audiences(asked: _Asked, region: str) -> Answer:
    """Answer every audience with its members."""
    return json_answer({id_: one.content() for id_, one in _store(asked, region).audiences.items()})


@_ROUTES.at("PATCH", "/switches")
def turn_switches(asked: _Asked) -> Answer:
    """Turn the switches in the body; answer how all of them stand."""
    asked.pendo.switches.set(asked.request.json())
    asked.pendo.turns += 1
    return json_answer(asked.pendo.switches.content())


@_ROUTES.at("GET", "/faults")
def read_faults(asked: _Asked) -> Answer:
    """Answer the faults that are still to come."""
    return json_answer([fault.content() for fault in asked.pendo.faults.coming])


@_ROUTES.at("POST", "/faults")
def add_fault(asked: _Asked) -> Answer:
    """Ask for a fault."""
    asked.pendo.faults.coming.append(fault_of(asked.request.json()))
    return json_answer({})


@_ROUTES.at("DELETE", "/faults")
def end_faults(asked: _Asked) -> Answer:
    """End all faults, and let reads show what lag still hides."""
    asked.pendo.faults.coming.clear()
    for store in asked.pendo.stores.values():
        store.lift_veils()
    return json_answer({})


@_ROUTES.at("POST", "/reset")
def reset(asked: _Asked) -> Answer:
    """Go back to the seeds."""
    asked.pendo.reset()
    return json_answer({})


def _store(asked: _Asked, region: str, kind: str = "visitor") -> Store:
    stores = asked.pendo.stores
    if region not in stores or kind not in stores[region].records:
        raise SandboxError(
            f"There is no {kind!r} in {region!r}. Regions are {', '.join(stores)}; kinds are visitor, account "
            f'and parentAccount. Hint: sandbox.values("visitor").'
        )
    return stores[region]
