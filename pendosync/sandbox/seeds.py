"""The population a sandbox starts with: the same for the same seed, small, human, and not quite clean."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from pendosync.sandbox.fields import Field
from pendosync.sandbox.store import ANONYMOUS, Store

_DAY_MS: Final = 86_400_000
_START_MS: Final = 1_735_689_600_000  # 2025-01-01T00:00:00Z
_TODAY_MS: Final = 1_795_392_000_000  # 2026-11-23T00:00:00Z

_PLANS: Final = ("free", "team", "business", "enterprise")
_REGIONS: Final = ("EMEA", "AMER", "APAC")
_ROLES: Final = ("admin", "editor", "viewer")
_TAGS: Final = ("beta", "champion", "newsletter", "partner")
_INDUSTRIES: Final = ("software", "retail", "health", "education", "finance")
_FIRST: Final = (
    "Ann",
    "Bo",
    "Cleo",
    "Dana",
    "Eli",
    "Fay",
    "Gus",
    "Hana",
    "Ivo",
    "June",
    "Kai",
    "Lena",
    "Milo",
)
_LAST: Final = ("Adler", "Berg", "Costa", "Dunn", "Endo", "Falk", "Gray", "Haas", "Ito", "Jung", "Kern")
_ACCOUNTS: Final = [
    "acme",
    "globex",
    "initech",
    "umbrella",
    "hooli",
    "stark",
    "wayne",
    "wonka",
    "cyberdyne",
    "tyrell",
    "soylent",
    "oscorp",
    "gringotts",
    "dunder-mifflin",
    "pied-piper",
    "vandelay",
    "prestige",
    "massive",
    "aperture",
    "blackmesa",
]

ODD_IDS: Final = ("U-0007", "ann@example.com", "a/b", "ünï", "x y", "100%", "plus+one")
"""Identified visitors whose ids differ by case only, or need care in a path."""

ANONYMOUS_IDS: Final = tuple(f"{ANONYMOUS}{name}" for name in ("Ab3dE", "Zk9qX", "m0nTy", "q1w2e"))
"""Visitors who were never identified."""

WRONG_TYPES: Final[tuple[tuple[str, str, str, Any], ...]] = (
    ("visitor", "u-0005", "seats", "5"),
    ("visitor", "u-0011", "plan", 7),
    ("visitor", "u-0017", "signedup", "last spring"),
    ("visitor", "u-0023", "score", True),
    ("visitor", "u-0031", "trial", "yes"),
    ("visitor", "u-0041", "seats", 8.5),
    ("account", "globex", "seats", "12"),
    ("account", "hooli", "renewal", "next year"),
)
"""Held values of another type than their field's: kind, id, field of `custom`, value."""

_FIELDS: Final[dict[str, dict[str, dict[str, Field]]]] = {
    "visitor": {
        "custom": {
            "plan": Field("string", "Plan"),
            "seats": Field("integer", "Seats"),
            "score": Field("float", "Score"),
            "trial": Field("boolean", "On Trial"),
            "signedup": Field("time", "Signed Up"),
            "region": Field("string", "Sales Region"),
            "hasnote": Field("string", "Has Note"),
            "oldplan": Field("string", "Old Plan", is_deleted=True),
            "healthscore": Field("float", "Health Score", is_calculated=True),
            "internalnote": Field("string", "Internal Note", is_hidden=True),
            "legacy": Field("", "Legacy"),
        },
        "agent": {
            "email": Field("string", "Email"),
            "firstname": Field("string", "First Name"),
            "lastname": Field("string", "Last Name"),
            "role": Field("string", "Role"),
            "tags": Field("list", "Tags", element_type="string"),
        },
        "auto": {
            "accountid": Field("string", "Account ID"),
            "firstvisit": Field("time", "First Visit"),
            "lastvisit": Field("time", "Last Visit"),
        },
        "pendo": {
            "donotprocess": Field("boolean", "Do Not Process"),
            "blacklistguides": Field("boolean", "Guides Off"),
        },
    },
    "account": {
        "custom": {
            "plan": Field("string", "Plan"),
            "seats": Field("integer", "Seats"),
            "mrr": Field("float", "MRR"),
            "renewal": Field("time", "Renewal"),
            "industry": Field("string", "Industry"),
        },
        "agent": {"name": Field("string", "Name")},
        "auto": {"firstvisit": Field("time", "First Visit"), "lastvisit": Field("time", "Last Visit")},
        "pendo": {
            "donotprocess": Field("boolean", "Do Not Process"),
            "blacklistguides": Field("boolean", "Guides Off"),
        },
    },
    "parentAccount": {
        "custom": {"tier": Field("string", "Tier")},
        "agent": {"name": Field("string", "Name")},
    },
}


def declare_fields(store: Store) -> None:
    """Give an empty subscription the fields that every region has."""
    for kind, groups in _FIELDS.items():
        for group, fields in groups.items():
            for key, field in fields.items():
                store.declare(kind, group, key, Field(**field.content()))


def seed_store(store: Store, *, seed: int = 0, visitors: int = 200) -> None:
    """Fill *store* with accounts and *visitors* visitors, and the odd ones besides.

    Cost: about 4 µs a visitor.
    """
    rng = Random(seed)
    _seed_accounts(store, rng)
    _seed_visitors(store, rng, visitors)
    for id_ in ODD_IDS:
        store.records["visitor"][id_] = {
            "custom": {"plan": "team", "seats": 3},
            "auto": _visits(rng.random()),
        }
    for id_ in ANONYMOUS_IDS:
        store.records["visitor"][id_] = {"auto": _visits(rng.random())}
    for kind, id_, field, value in WRONG_TYPES:
        if id_ in store.records[kind]:
            store.records[kind][id_].setdefault("custom", {})[field] = value
    store.changes += 1


def _seed_accounts(store: Store, rng: Random) -> None:
    for name in _ACCOUNTS:
        custom = {
            "plan": rng.choice(_PLANS),
            "seats": rng.randint(1, 500),
            "mrr": rng.randint(0, 90_000) / 4,
            "renewal": _TODAY_MS + rng.randint(1, 365) * _DAY_MS,
            "industry": rng.choice(_INDUSTRIES),
        }
        agent = {"name": name.replace("-", " ").title()}
        store.records["account"][name] = {"custom": custom, "agent": agent, "auto": _visits(rng.random())}


def _seed_visitors(store: Store, rng: Random, visitors: int) -> None:
    held, pick = store.records["visitor"], rng.random
    for number in range(1, visitors + 1):
        chance = pick()
        groups: dict[str, dict[str, Any]] = {"auto": _visits(chance)}
        groups["auto"]["accountid"] = _picked(_ACCOUNTS, chance, 1)
        if number % 20:
            groups["custom"] = _custom(chance, number)
        if number <= 10_000:
            groups["agent"] = _agent(chance, number)
        held[f"u-{number:04d}"] = groups
    for number in range(50, min(visitors, 10_000) + 1, 50):
        held[f"u-{number:04d}"]["pendo"] = {"donotprocess": True}


def _custom(chance: float, number: int) -> dict[str, Any]:
    values = {
        "plan": _picked(_PLANS, chance, 7),
        "seats": int(chance * 9973) % 50,
        "score": int(chance * 8000) / 8,
        "trial": number % 3 == 0,
        "signedup": _START_MS + int(chance * 600 * 86_400) * 1000,
        "region": _picked(_REGIONS, chance, 31),
    }
    if number % 9 == 1:
        values |= {"hasnote": "yes", "internalnote": "call back", "legacy": number, "oldplan": "classic"}
    if number % 43 == 0:
        values["seats"] = 8.0
    if number % 13 == 1:
        values |= {"healthscore": int(chance * 400) / 4}
        del values["region"]
    return values


def _agent(chance: float, number: int) -> dict[str, Any]:
    first, last = _picked(_FIRST, chance, 101), _picked(_LAST, chance, 57)
    agent = {"firstname": first, "lastname": last, "email": f"{first}.{last}.{number}@example.com".lower()}
    agent["role"] = _picked(_ROLES, chance, 11)
    return {**agent, "tags": [_picked(_TAGS, chance, 17)]} if number % 4 == 0 else agent


def _visits(chance: float) -> dict[str, Any]:
    first = _START_MS + int(chance * 600 * 86_400_000)
    return {"firstvisit": first, "lastvisit": first + int(chance * 97 * 86_400_000) % (_TODAY_MS - first)}


def _picked(names: Any, chance: float, stride: int) -> str:
    return str(names[int(chance * stride * 1000) % len(names)])
