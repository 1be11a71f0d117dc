"""Group: the group is an account, the traits are what Pendo holds of one, and the caller belongs to it."""

from __future__ import annotations

from typing import Any, Final

from table import API, DEVICE, DOCS, PENDO, SPEC, Blocked, Row, Without

ACCOUNT: Final[dict[str, Any]] = {"id": "org", "visitor_id": "user"}
MEMBER: Final[dict[str, Any]] = {"visitor_id": "user", "account_id": "org"}

ROWS: Final = [
    Row(
        name="the group id is the account's, the traits are the account's metadata, the caller is named",
        source=f"{SPEC}: group; {PENDO}, Segment webhook; {DEVICE}: group",
        message={"type": "group", "userId": "u-1", "groupId": "acme-2", "traits": {"name": "Acme", "seats": 50, "paying": True}},
        table={"org": "acme-2", "user": "u-1", "name": "Acme", "seats": 50, "paying": True},
        mapping={**ACCOUNT, "traits": ["name", "seats", "paying"]},
        webhook={
            "type": "group", "userId": "u-1", "groupId": "acme-2", "traits": {"name": "Acme", "seats": 50, "paying": True},
        },
        browser=(
            "identify",
            {"visitor": {"id": "u-1"}, "account": {"name": "Acme", "seats": 50, "paying": True, "id": "acme-2"}},
        ),
    ),
    Row(
        name="the example of the spec: a name that Pendo can't hold is left out, the rest travels",
        source=f"{SPEC}: group, example; {PENDO}: fields",
        message={
            "type": "group",
            "userId": "0ef9a0cb",
            "groupId": "0e8c78ea9d97a7b8185e8632",
            "traits": {
                "name": "Initech", "industry": "Technology", "employees": 329, "plan": "enterprise", "total billed": 830,
            },
        },
        table={
            "org": "0e8c78ea9d97a7b8185e8632", "user": "0ef9a0cb", "name": "Initech", "industry": "Technology",
            "employees": 329, "plan": "enterprise", "total billed": 830,
        },
        mapping={**ACCOUNT, "traits": ["name", "industry", "employees", "plan", "total billed"]},
        webhook=Without.of(
            {
                "type": "group",
                "userId": "0ef9a0cb",
                "groupId": "0e8c78ea9d97a7b8185e8632",
                "traits": {"name": "Initech", "industry": "Technology", "employees": 329, "plan": "enterprise"},
            },
            "illegal_field_name",
        ),
        browser=Without.of(
            (
                "identify",
                {
                    "visitor": {"id": "0ef9a0cb"},
                    "account": {
                        "name": "Initech", "industry": "Technology", "employees": 329, "plan": "enterprise",
                        "id": "0e8c78ea9d97a7b8185e8632",
                    },
                },
            ),
            "illegal_field_name",
        ),
    ),
    Row(
        name="reserved traits keep their types, and an address travels by its parts",
        source=f"{SPEC}: group, reserved traits",
        message={
            "type": "group",
            "userId": "u-1",
            "groupId": "acme-2",
            "traits": {
                "phone": 61234, "plan": 3, "createdAt": "2026-01-02T03:04:05Z", "address": {"city": "Rome", "country": "Italy"},
                "industry": "Tools", "website": "https://example.com", "email": "office@example.com", "description": "tools",
                "avatar": "https://example.com/a.png",
            },
        },
        table={
            "org": "acme-2", "user": "u-1", "phone": 61234, "plan": 3, "createdAt": "2026-01-02T03:04:05Z",
            "address": {"city": "Rome", "country": "Italy"}, "industry": "Tools", "website": "https://example.com",
            "email": "office@example.com", "description": "tools", "avatar": "https://example.com/a.png",
        },
        mapping={
            **ACCOUNT,
            "traits": ["phone", "plan", "createdAt", "address", "industry", "website", "email", "description", "avatar"],
        },
        webhook={
            "type": "group",
            "userId": "u-1",
            "groupId": "acme-2",
            "traits": {
                "phone": "61234", "plan": "3", "createdAt": "2026-01-02T03:04:05.000+00:00", "address_city": "Rome",
                "address_country": "Italy", "industry": "Tools", "website": "https://example.com",
                "email": "office@example.com", "description": "tools", "avatar": "https://example.com/a.png",
            },
        },
        browser=(
            "identify",
            {
                "visitor": {"id": "u-1"},
                "account": {
                    "phone": "61234", "plan": "3", "createdAt": "2026-01-02T03:04:05.000+00:00", "address_city": "Rome",
                    "address_country": "Italy", "industry": "Tools", "website": "https://example.com",
                    "email": "office@example.com", "description": "tools", "avatar": "https://example.com/a.png",
                    "id": "acme-2",
                },
            },
        ),
    ),
    Row(
        name="a trait parentAccount is none: the browser tells it as an option, the webhook as an object of the traits",
        source=f"{DEVICE}: group, parentAccount; {SPEC}: a message travels as it is",
        message={
            "type": "group",
            "userId": "u-1",
            "groupId": "acme-2",
            "traits": {"name": "Acme", "parentAccount": {"id": "holding", "tier": "gold"}},
        },
        table={"org": "acme-2", "user": "u-1", "name": "Acme", "parentAccount": {"id": "holding", "tier": "gold"}},
        mapping={**ACCOUNT, "traits": ["name", "parentAccount"]},
        webhook={
            "type": "group",
            "userId": "u-1",
            "groupId": "acme-2",
            "traits": {"name": "Acme", "parentAccount": {"id": "holding", "tier": "gold"}},
        },
        browser=(
            "identify",
            {
                "visitor": {"id": "u-1"},
                "account": {"name": "Acme", "id": "acme-2"},
                "parentAccount": {"id": "holding", "tier": "gold"},
            },
        ),
    ),
    Row(
        name="a parent's id of digits is a text",
        source=f"{PENDO}: ids are always sent as strings; {DEVICE}: parentAccount needs an id",
        message={
            "type": "group", "userId": "u-1", "groupId": "acme-2", "traits": {"name": "Acme", "parentAccount": {"id": 9}},
        },
        table={"org": "acme-2", "user": "u-1", "name": "Acme", "parent": 9},
        mapping={**ACCOUNT, "traits": ["name"], "parent_account": "parent"},
        webhook={
            "type": "group", "userId": "u-1", "groupId": "acme-2", "traits": {"name": "Acme", "parentAccount": {"id": "9"}},
        },
        browser=(
            "identify",
            {"visitor": {"id": "u-1"}, "account": {"name": "Acme", "id": "acme-2"}, "parentAccount": {"id": "9"}},
        ),
    ),
    Row(
        name="a parent may stand as JSON in a text, its id of digits is a text as well",
        source=f"{PENDO}: ids are always sent as strings; {DEVICE}: parentAccount needs an id",
        message=None,
        kind="account",
        table={"org": "acme-2", "user": "u-1", "name": "Acme", "parent": ' {"id": 9, "tier": "gold"}'},
        mapping={**ACCOUNT, "traits": ["name"], "parent_account": "parent"},
        webhook={
            "type": "group",
            "userId": "u-1",
            "groupId": "acme-2",
            "traits": {"name": "Acme", "parentAccount": {"id": "9", "tier": "gold"}},
        },
        browser=(
            "identify",
            {
                "visitor": {"id": "u-1"},
                "account": {"name": "Acme", "id": "acme-2"},
                "parentAccount": {"id": "9", "tier": "gold"},
            },
        ),
    ),
    *(
        Row(
            name=f"a parent that is JSON without an id that is one holds the account back: {parent}",
            source=f"{DEVICE}: parentAccount needs an id",
            message=None,
            kind="account",
            table={"org": "acme-2", "user": "u-1", "name": "Acme", "parent": parent},
            mapping={**ACCOUNT, "traits": ["name"], "parent_account": "parent"},
            webhook=Blocked("wrong_parent"),
            browser=Blocked("wrong_parent"),
        )
        for parent in ('{"tier": "gold"}', '{"id": {"a": 1}}', '{"id": true}', '{"id": " "}', '{"id": "a", "n": NaN}', '{"id": "a"')
    ),
    Row(
        name="an account without a parent is told without one",
        source=f"{DEVICE}: group",
        message=None,
        kind="account",
        table={"org": "acme-2", "user": "u-1", "name": "Acme", "parent": None},
        mapping={**ACCOUNT, "traits": ["name"], "parent_account": "parent"},
        webhook={"type": "group", "userId": "u-1", "groupId": "acme-2", "traits": {"name": "Acme"}},
        browser=("identify", {"visitor": {"id": "u-1"}, "account": {"name": "Acme", "id": "acme-2"}}),
    ),
    Row(
        name="a parent without an id is no parent",
        source=f"{DEVICE}: parentAccount needs an id",
        message={
            "type": "group", "userId": "u-1", "groupId": "acme-2", "traits": {"name": "Acme", "parentAccount": {"tier": "gold"}},
        },
        webhook={"type": "group", "userId": "u-1", "groupId": "acme-2", "traits": {"name": "Acme"}},
        browser=("identify", {"visitor": {"id": "u-1"}, "account": {"name": "Acme", "id": "acme-2"}}),
    ),
    Row(
        name="a trait `id` never displaces the group's id",
        source=f"{DEVICE}: the id wins",
        message={"type": "group", "userId": "u-1", "groupId": "acme-2", "traits": {"id": "other", "name": "Acme"}},
        webhook={"type": "group", "userId": "u-1", "groupId": "acme-2", "traits": {"name": "Acme"}},
        browser=("identify", {"visitor": {"id": "u-1"}, "account": {"name": "Acme", "id": "acme-2"}}),
    ),
    Row(
        name="ids of digits are texts",
        source=f"{PENDO}: ids are always sent as strings",
        message={"type": "group", "userId": 1, "groupId": 7, "traits": {"name": "Acme"}},
        table={"org": 7, "user": 1, "name": "Acme"},
        mapping={**ACCOUNT, "traits": ["name"]},
        webhook={"type": "group", "userId": "1", "groupId": "7", "traits": {"name": "Acme"}},
        browser=("identify", {"visitor": {"id": "1"}, "account": {"name": "Acme", "id": "7"}}),
    ),
    Row(
        name="lists of texts are the agent's alone",
        source=f"{PENDO}: lists; {DEVICE}: arrays of strings",
        message={"type": "group", "userId": "u-1", "groupId": "acme-2", "traits": {"name": "Acme", "regions": ["EU", "US"]}},
        table={"org": "acme-2", "user": "u-1", "name": "Acme", "regions": ["EU", "US"]},
        mapping={**ACCOUNT, "traits": ["name", "regions"]},
        webhook=Without.of(
            {"type": "group", "userId": "u-1", "groupId": "acme-2", "traits": {"name": "Acme"}}, "list_outside_agent"
        ),
        browser=(
            "identify",
            {"visitor": {"id": "u-1"}, "account": {"name": "Acme", "regions": ["EU", "US"], "id": "acme-2"}},
        ),
    ),
    Row(
        name="a group call is made by a user: without one it is not sent from the server",
        source=f"{SPEC}: group needs userId or anonymousId; {DOCS}",
        message={"type": "group", "anonymousId": "507f", "groupId": "acme-2", "traits": {"name": "Acme"}},
        table={"org": "acme-2", "user": None, "name": "Acme"},
        mapping={**ACCOUNT, "traits": ["name"]},
        webhook=Blocked("missing_visitor"),
        browser=Blocked("missing_visitor"),
    ),
    Row(
        name="a message over 32 KB is not taken by Segment, its parent account included",
        source=f"{API}: max request size",
        message={
            "type": "group", "userId": "u-1", "groupId": "acme-2",
            "traits": {"name": "x" * 20_000, "parentAccount": {"id": "holding", "note": "x" * 13_000}},
        },
        table={
            "org": "acme-2", "user": "u-1", "name": "x" * 20_000, "parentAccount": {"id": "holding", "note": "x" * 13_000},
        },
        mapping={**ACCOUNT, "traits": ["name", "parentAccount"]},
        webhook=Blocked("large_message"),
        browser=(
            "identify",
            {
                "visitor": {"id": "u-1"},
                "account": {"name": "x" * 20_000, "id": "acme-2"},
                "parentAccount": {"id": "holding", "note": "x" * 13_000},
            },
        ),
    ),
    Row(
        name="a membership is a group call without traits",
        source=f"{SPEC}: group; {DEVICE}: group",
        message={"type": "group", "userId": "u-1", "groupId": "acme-2"},
        kind="membership",
        table={"user": "u-1", "org": "acme-2"},
        mapping=MEMBER,
        webhook={"type": "group", "userId": "u-1", "groupId": "acme-2", "traits": {}},
        browser=("identify", {"visitor": {"id": "u-1"}, "account": {"id": "acme-2"}}),
    ),
    Row(
        name="a membership may tell the account's parent",
        source=f"{DEVICE}: group, parentAccount",
        message=None,
        kind="membership",
        table={"user": "u-1", "org": "acme-2", "parent": "holding"},
        mapping={**MEMBER, "parent_account": "parent"},
        webhook={"type": "group", "userId": "u-1", "groupId": "acme-2", "traits": {"parentAccount": {"id": "holding"}}},
        browser=(
            "identify",
            {"visitor": {"id": "u-1"}, "account": {"id": "acme-2"}, "parentAccount": {"id": "holding"}},
        ),
    ),
    Row(
        name="an anonymous member is told by the browser alone",
        source=f"{DEVICE}: anonymous users; {PENDO}: ids",
        message=None,
        kind="membership",
        table={"user": None, "anonymous": "507f", "org": "acme-2"},
        mapping={**MEMBER, "anonymous_id": "anonymous"},
        webhook=Blocked("anonymous_id"),
        browser=("identify", {"visitor": {"id": "_PENDO_T_507f"}, "account": {"id": "acme-2"}}),
    ),
    Row(
        name="without a group id there is no account",
        source=f"{SPEC}: group needs groupId",
        message={"type": "group", "userId": "u-1", "traits": {"name": "Acme"}},
        table={"org": None, "user": "u-1", "name": "Acme"},
        mapping={**ACCOUNT, "traits": ["name"]},
        webhook=Blocked("missing_id"),
        browser=Blocked("missing_id"),
        left_out="no group id",
    ),
    Row(
        name="a membership names its account",
        source=f"{SPEC}: group needs groupId",
        message=None,
        kind="membership",
        table={"id": "m-1", "user": "u-1", "org": ""},
        mapping={**MEMBER, "id": "id"},
        webhook=Blocked("missing_account"),
        browser=Blocked("missing_account"),
    ),
]  # fmt: skip
