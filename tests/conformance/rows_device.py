"""Device mode: what a page calls on load, and what follows, by the settings of Segment's Pendo destination."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from table import DEVICE

CUSTOM: Final = (
    "Segment's public field descriptions name a setting for a custom trait as Pendo's account id, read 2026-11-26; whose "
    "trait it is and when it counts was not found, so this is our reading"
)

ANN: Final = {"id": "u-1", "plan": "pro"}
ACME: Final = {"id": "acme", "tier": 1}
HELD: Final = {"id": "acme", "tier": 1, "parentAccount": {"id": "holding", "region": "EU"}}


@dataclass(frozen=True, kw_only=True)
class Load:
    """One page load.

    Args:
        name: the rule in a few words.
        source: who says so.
        settings: what is set otherwise than by default.
        visitor, account, options: whom the page knows, as `browser_calls` takes it.
        calls: what the page calls, in order.
    """

    name: str
    source: str
    visitor: dict[str, Any]
    calls: list[tuple[str, Any]]
    account: Any = None
    settings: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


LOADS: Final = [
    Load(
        name="a page load initializes with the visitor and the traits",
        source=f"{DEVICE}: initialize",
        visitor=ANN,
        calls=[("initialize", {"visitor": {"id": "u-1", "plan": "pro"}})],
    ),
    Load(
        name="an account that is known is told with its traits",
        source=f"{DEVICE}: initialize",
        visitor=ANN,
        account=ACME,
        calls=[
            ("initialize", {"visitor": {"id": "u-1", "plan": "pro"}, "account": {"id": "acme", "tier": 1}})
        ],
    ),
    Load(
        name="a parent account is lifted out of the account's traits",
        source=f"{DEVICE}: initialize, parentAccount",
        visitor=ANN,
        account=HELD,
        calls=[
            (
                "initialize",
                {
                    "visitor": {"id": "u-1", "plan": "pro"},
                    "account": {"id": "acme", "tier": 1},
                    "parentAccount": {"id": "holding", "region": "EU"},
                },
            )
        ],
    ),
    Load(
        name="without a user id the visitor is _PENDO_T_ and the anonymous id",
        source=f"{DEVICE}: initialize, anonymous users",
        visitor={"plan": "pro"},
        options={"anonymous_id": "507f-191e"},
        calls=[("initialize", {"visitor": {"plan": "pro", "id": "_PENDO_T_507f-191e"}})],
    ),
    Load(
        name="a user id counts, and the anonymous id beside it does not",
        source=f"{DEVICE}: initialize, anonymous users",
        visitor=ANN,
        options={"anonymous_id": "507f-191e"},
        calls=[("initialize", {"visitor": {"id": "u-1", "plan": "pro"}})],
    ),
    Load(
        name="no user traits on load: the id alone, and the traits with the identify that follows",
        source=f"{DEVICE}: disableUserTraitsOnLoad; identify",
        visitor=ANN,
        settings={"user_traits_on_load": False},
        calls=[
            ("initialize", {"visitor": {"id": "u-1"}}),
            ("identify", {"visitor": {"id": "u-1", "plan": "pro"}}),
        ],
    ),
    Load(
        name="no user traits on load: the identify that follows names the account that is known",
        source=f"{DEVICE}: disableUserTraitsOnLoad; identify",
        visitor=ANN,
        account=ACME,
        settings={"user_traits_on_load": False},
        calls=[
            ("initialize", {"visitor": {"id": "u-1"}, "account": {"id": "acme", "tier": 1}}),
            ("identify", {"visitor": {"id": "u-1", "plan": "pro"}, "account": {"id": "acme"}}),
        ],
    ),
    Load(
        name="no group on load: the account and its parent come with the group call that follows",
        source=f"{DEVICE}: disableGroupIdAndTraitsOnLoad; group",
        visitor=ANN,
        account=HELD,
        settings={"group_on_load": False},
        calls=[
            ("initialize", {"visitor": {"id": "u-1", "plan": "pro"}}),
            (
                "identify",
                {
                    "visitor": {"id": "u-1"},
                    "account": {"id": "acme", "tier": 1},
                    "parentAccount": {"id": "holding", "region": "EU"},
                },
            ),
        ],
    ),
    Load(
        name="neither on load: the identify does not name the account, which its own call tells",
        source=f"{DEVICE}: disableUserTraitsOnLoad, disableGroupIdAndTraitsOnLoad; identify, group",
        visitor=ANN,
        account=ACME,
        settings={"user_traits_on_load": False, "group_on_load": False},
        calls=[
            ("initialize", {"visitor": {"id": "u-1"}}),
            ("identify", {"visitor": {"id": "u-1", "plan": "pro"}}),
            ("identify", {"visitor": {"id": "u-1"}, "account": {"id": "acme", "tier": 1}}),
        ],
    ),
    Load(
        name="no group on load changes nothing where there is no account",
        source=f"{DEVICE}: disableGroupIdAndTraitsOnLoad",
        visitor=ANN,
        settings={"group_on_load": False},
        calls=[("initialize", {"visitor": {"id": "u-1", "plan": "pro"}})],
    ),
    Load(
        name="a trait may hold the account's id, where no account is known",
        source=CUSTOM,
        visitor={"id": "u-1", "company": "acme"},
        settings={"account_trait": "company"},
        calls=[("initialize", {"visitor": {"id": "u-1", "company": "acme"}, "account": {"id": "acme"}})],
    ),
    Load(
        name="a trait of the group may hold the account's id in place of the group's",
        source=CUSTOM,
        visitor={"id": "u-1"},
        account={"id": "group-1", "company": "acme"},
        settings={"account_trait": "company"},
        calls=[("initialize", {"visitor": {"id": "u-1"}, "account": {"id": "acme", "company": "acme"}})],
    ),
    Load(
        name="an account that is known counts more than the visitor's trait",
        source=CUSTOM,
        visitor={"id": "u-1", "company": "other"},
        account=ACME,
        settings={"account_trait": "company"},
        calls=[
            (
                "initialize",
                {"visitor": {"id": "u-1", "company": "other"}, "account": {"id": "acme", "tier": 1}},
            )
        ],
    ),
    Load(
        name="later calls: an identify names the account, a group the visitor's id alone, a track its properties",
        source=f"{DEVICE}: identify, group, track",
        visitor=ANN,
        account=ACME,
        options={
            "identifies": [{"seats": 5}],
            "groups": [{"id": "hooli", "tier": 2, "parentAccount": {"id": "holding"}}],
            "events": [("Signed Up", {"plan": "pro"})],
        },
        calls=[
            ("initialize", {"visitor": {"id": "u-1", "plan": "pro"}, "account": {"id": "acme", "tier": 1}}),
            ("identify", {"visitor": {"seats": 5, "id": "u-1"}, "account": {"id": "acme"}}),
            (
                "identify",
                {
                    "visitor": {"id": "u-1"},
                    "account": {"id": "hooli", "tier": 2},
                    "parentAccount": {"id": "holding"},
                },
            ),
            ("track", "Signed Up", {"plan": "pro"}),
        ],
    ),
]
