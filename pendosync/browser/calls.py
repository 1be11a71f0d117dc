"""The calls of Pendo's agent that a visitor's browser makes, in order.

Source: Segment's public browser integration with Pendo (analytics.js and Pendo Web), read 2026-11-26.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from pendosync.browser.traits import told_id, told_traits
from pendosync.errors import MappingError
from pendosync.heads import ANONYMOUS
from pendosync.settings import Settings

Method = Literal["initialize", "identify", "track"]
Traits = AbstractMapping[str, Any]


class Call(NamedTuple):
    """One call of the agent: `pendo.<method>(*arguments)`."""

    method: Method
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """An account as a visitor's browser tells it, and its parent; both hold their ids, which win over traits so named."""

    account: dict[str, Any]
    parent: dict[str, Any] | None = None

    @classmethod
    def of(cls, account: Traits, parent: Traits | str | None = None) -> Group:
        """Return *account* with its parent, which is lifted out of its traits where *parent* is None.

        Raises:
            MappingError: an id is missing, or a value can't be told.
        """
        traits = dict(account) if isinstance(account, AbstractMapping) else account
        lifted = traits.pop("parentAccount", None) if isinstance(traits, dict) else None
        parent = lifted if parent is None else parent
        return cls(_told(traits, "account"), None if parent is None else _told(parent, "parent account"))

    def named_by(self, trait: str | None) -> Group:
        """Return it with the value of that *trait*, where it has one, as its id."""
        if trait not in self.account:
            return self
        return replace(self, account={**self.account, "id": _id_in(self.account[trait])})

    @property
    def options(self) -> dict[str, Any]:
        """What a call says of it."""
        parent = {} if self.parent is None else {"parentAccount": self.parent}
        return {"account": self.account, **parent}


def browser_calls(
    settings: Settings,
    visitor: Traits,
    account: Traits | str | None = None,
    /,
    *,
    parent_account: Traits | str | None = None,
    anonymous_id: str | None = None,
    identifies: Iterable[Traits] = (),
    groups: Iterable[Traits | Group] = (),
    events: Iterable[tuple[str, Traits]] = (),
) -> list[Call]:
    """Return what a browser calls: `initialize` on load, then each identify, each group, and each event.

    Args:
        settings: what is told on load, and which trait holds the account's id; no key is read.
        visitor: trait → value with the id as `id`.
        account: the same of the account, or its id; None where there is none.
        parent_account: the same of its parent; None takes `parentAccount` out of the account's traits.
        anonymous_id: Segment's id of a visitor without one.
        identifies: traits of the visitor that come later.
        groups: accounts that come later.
        events: names and properties.

    Raises:
        MappingError: a value can't be told, or an id is missing.
    """
    person = _visitor(visitor, anonymous_id)
    group = _group_of(settings, person, account, parent_account)
    calls = _calls_on_load(settings, person, group)
    known = None if group is None else group.account["id"]
    for traits in identifies:
        calls.append(_identify({**told_traits(traits, "visitor"), "id": person["id"]}, known))
    for one in groups:
        later = one if isinstance(one, Group) else Group.of(one)
        calls.append(_group_call(person["id"], later.named_by(settings.account_trait)))
    calls.extend(_track(name, properties) for name, properties in events)
    return calls


def _calls_on_load(settings: Settings, person: dict[str, Any], group: Group | None) -> list[Call]:
    """Return `initialize`, and what the settings have told right after it."""
    is_whole, is_grouped = settings.user_traits_on_load, settings.group_on_load and group is not None
    first = {"visitor": person if is_whole else {"id": person["id"]}}
    calls = [Call("initialize", ({**first, **(group.options if group and is_grouped else {})},))]
    if not is_whole and len(person) > 1:
        calls.append(_identify(person, group.account["id"] if group and is_grouped else None))
    if group is not None and not is_grouped:
        calls.append(_group_call(person["id"], group))
    return calls


def _identify(person: dict[str, Any], account_id: str | None) -> Call:
    account = {} if account_id is None else {"account": {"id": account_id}}
    return Call("identify", ({"visitor": person, **account},))


def _group_call(visitor_id: str, group: Group) -> Call:
    return Call("identify", ({"visitor": {"id": visitor_id}, **group.options},))


def _track(name: str, properties: Traits) -> Call:
    return Call("track", (told_id(name, "event", "name"), told_traits(properties, "event")))


def _visitor(visitor: Traits, anonymous_id: str | None) -> dict[str, Any]:
    traits = told_traits(visitor, "visitor")
    if "id" not in traits and anonymous_id is None:
        raise MappingError(
            "The visitor has no id, and no anonymous id is given. Expected one of them, as all that a browser tells "
            "belongs to somebody. Hint: {'id': 'u-1', …}, or anonymous_id='…'.",
            trait="id",
        )
    if "id" in traits:
        return {**traits, "id": told_id(traits["id"], "visitor")}
    return {**traits, "id": ANONYMOUS + told_id(anonymous_id, "anonymous visitor")}


def _group_of(
    settings: Settings, person: dict[str, Any], account: Traits | str | None, parent: Traits | str | None
) -> Group | None:
    """Return the account that was given, or the one that the visitor's own trait names; a trait of its own wins as id."""
    trait = settings.account_trait
    if account is None and trait in person:
        account = _id_in(person[trait])
    if account is not None:
        return Group.of({"id": account} if isinstance(account, str) else account, parent).named_by(trait)
    if parent is not None:
        raise MappingError(
            "A parent account is given, and no account. Expected the account that it is the parent of. "
            "Hint: browser_snippet(settings, visitor, {'id': '…'}, parent_account=…)."
        )
    return None


def _id_in(value: Any) -> str:
    """Return the account's id that a trait holds."""
    return told_id(str(value) if type(value) is int else value, "account")


def _told(traits: Traits | str, what: str) -> dict[str, Any]:
    """Return traits with their id, or the bare id as such."""
    if isinstance(traits, str):
        return {"id": told_id(traits, what)}
    told = told_traits(traits, what)
    return {**told, "id": told_id(told.get("id"), what)}
