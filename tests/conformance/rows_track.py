"""Track: what a visitor did, by Segment's webhook, by Pendo's own `/data/track`, and as a browser's call."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from table import API, AT, DEVICE, DOCS, NOW, PENDO, SPEC, UNSAID, Blocked, Row, Without, epoch_ms, iso

EVENT: Final[dict[str, Any]] = {"visitor_id": "user", "event": "what", "at": "time"}
OF_ACCOUNT: Final[dict[str, Any]] = {**EVENT, "account_id": "org"}


def message(properties: dict[str, Any] | None = None, at: str = iso(AT), **changed: Any) -> dict[str, Any]:
    """Return a track message, a part of which is changed, or left out where it is None."""
    plain = {
        "type": "track",
        "messageId": "m-1",
        "userId": "u-1",
        "event": "Signed Up",
        "properties": properties or {},
        "timestamp": at,
        **changed,
    }
    return {name: value for name, value in plain.items() if value is not None}


def event(at: Any = AT, **cells: Any) -> dict[str, Any]:
    """Return the same as a row of a table."""
    return {"user": "u-1", "what": "Signed Up", "time": at, **cells}


def webhook(properties: dict[str, Any], at: datetime = AT, **changed: Any) -> dict[str, Any]:
    """Return what Segment's webhook is told."""
    plain = {
        "type": "track",
        "userId": "u-1",
        "event": "Signed Up",
        "properties": properties,
        "timestamp": iso(at),
    }
    return {**plain, **changed}


def track(properties: dict[str, Any], at: datetime = AT, **changed: Any) -> dict[str, Any]:
    """Return what `/data/track` is told."""
    told = {
        "type": "track",
        "event": "Signed Up",
        "visitorId": "u-1",
        "timestamp": epoch_ms(at),
        "properties": properties,
    }
    return {**told, **changed}


def browser(properties: dict[str, Any], name: str = "Signed Up") -> tuple[str, str, dict[str, Any]]:
    """Return what a browser calls."""
    return ("track", name, properties)


ROWS: Final = [
    Row(
        name="event and properties, and the account's id as the property groupId",
        source=f"{SPEC}: track; {DOCS}: groupId goes into the properties; {PENDO}: track events; {DEVICE}: track",
        message={
            "type": "track",
            "messageId": "m-1",
            "userId": "u-1",
            "event": "Signed Up",
            "properties": {"plan": "pro", "seats": 5, "revenue": 19.95, "trial": False, "groupId": "acme"},
            "timestamp": iso(AT),
        },
        table={
            "user": "u-1", "org": "acme", "what": "Signed Up", "time": AT, "plan": "pro", "seats": 5, "revenue": 19.95,
            "trial": False,
        },
        mapping={**OF_ACCOUNT, "traits": ["plan", "seats", "revenue", "trial"]},
        webhook={
            "type": "track",
            "userId": "u-1",
            "event": "Signed Up",
            "properties": {"plan": "pro", "seats": 5, "revenue": 19.95, "trial": False, "groupId": "acme"},
            "timestamp": iso(AT),
        },
        track={
            "type": "track",
            "event": "Signed Up",
            "visitorId": "u-1",
            "accountId": "acme",
            "timestamp": epoch_ms(AT),
            "properties": {"plan": "pro", "seats": 5, "revenue": 19.95, "trial": False},
        },
        browser=(
            "track",
            "Signed Up",
            {"plan": "pro", "seats": 5, "revenue": 19.95, "trial": False, "groupId": "acme"},
        ),
    ),
    Row(
        name="an account of the context becomes the property groupId, from which Pendo takes it",
        source=f"{SPEC}: common fields, context.groupId; {DOCS}: groupId goes into the properties",
        message=message({"plan": "pro"}, context={"groupId": "acme"}),
        webhook=webhook({"plan": "pro", "groupId": "acme"}),
        track=track({"plan": "pro"}, accountId="acme"),
        browser=UNSAID,
    ),
    Row(
        name="an event without an account is one of the visitor alone",
        source=f"{SPEC}: track; {PENDO}: track events",
        message=message({"plan": "pro"}),
        table=event(plan="pro", org=None),
        mapping={**OF_ACCOUNT, "traits": ["plan"]},
        webhook=webhook({"plan": "pro"}),
        track=track({"plan": "pro"}),
        browser=browser({"plan": "pro"}),
    ),
    Row(
        name="an event may have no properties",
        source=f"{SPEC}: track, properties are optional",
        message=message(properties=None),
        table=event(),
        mapping=EVENT,
        webhook=webhook({}),
        track=track({}),
        browser=browser({}),
    ),
    Row(
        name="a property without a value is left out",
        source=f"{PENDO}: the meaning of null is not documented, so it is left out",
        message=message({"plan": None, "seats": 0}),
        table=event(plan=None, seats=0),
        mapping={**EVENT, "traits": ["plan", "seats"]},
        webhook=webhook({"seats": 0}),
        track=track({"seats": 0}),
        browser=browser({"seats": 0}),
    ),
    Row(
        name="objects are flattened into properties",
        source=f"{PENDO}: nested objects are not described",
        message=message({"cart": {"total": 9.5, "items": {"n": 2}}}),
        table=event(cart={"total": 9.5, "items": {"n": 2}}),
        mapping={**EVENT, "traits": ["cart"]},
        webhook=webhook({"cart_total": 9.5, "cart_items_n": 2}),
        track=track({"cart_total": 9.5, "cart_items_n": 2}),
        browser=browser({"cart_total": 9.5, "cart_items_n": 2}),
    ),
    Row(
        name="lists are no properties",
        source=f"{PENDO}: lists live in the agent group only",
        message=message({"plan": "pro", "tags": ["a", "b"]}),
        table=event(plan="pro", tags=["a", "b"]),
        mapping={**EVENT, "traits": ["plan", "tags"]},
        webhook=Without.of(webhook({"plan": "pro"}), "list_outside_agent"),
        track=Without.of(track({"plan": "pro"}), "list_outside_agent"),
        browser=Without.of(browser({"plan": "pro"}), "list_outside_agent"),
    ),
    Row(
        name="the name of an event is any text",
        source=f"{SPEC}: track, event",
        message=message({"plan": "pro"}, event='Bought "ü" 😀 </script>'),
        table=event(plan="pro", what='Bought "ü" 😀 </script>'),
        mapping={**EVENT, "traits": ["plan"]},
        webhook=webhook({"plan": "pro"}, event='Bought "ü" 😀 </script>'),
        track=track({"plan": "pro"}, event='Bought "ü" 😀 </script>'),
        browser=browser({"plan": "pro"}, 'Bought "ü" 😀 </script>'),
    ),
    # when it happened
    Row(
        name="a time with an offset is the same instant in UTC",
        source=f"{SPEC}: common fields, timestamp is ISO 8601; {PENDO}: milliseconds since 1970",
        message=message({"plan": "pro"}, at=(AT + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S.250+02:00")),
        table=event((AT + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S.250+02:00"), plan="pro"),
        mapping={**EVENT, "traits": ["plan"]},
        webhook=webhook({"plan": "pro"}),
        track=track({"plan": "pro"}),
        browser=browser({"plan": "pro"}),
    ),
    Row(
        name="a time without a zone is read in the mapping's",
        source=f"{SPEC}: common fields, timestamp is an instant",
        message=None,
        kind="event",
        table=event(AT.replace(tzinfo=None) + timedelta(hours=9), plan="pro"),
        mapping={**EVENT, "traits": ["plan"], "time_zone": "Asia/Tokyo"},
        webhook=webhook({"plan": "pro"}),
        track=track({"plan": "pro"}),
        browser=browser({"plan": "pro"}),
    ),
    Row(
        name="without a timestamp the original one counts",
        source=f"{SPEC}: common fields, originalTimestamp",
        message=message({"plan": "pro"}, timestamp=None, originalTimestamp=iso(AT), sentAt=iso(NOW)),
        webhook=webhook({"plan": "pro"}),
        track=track({"plan": "pro"}),
        browser=browser({"plan": "pro"}),
    ),
    Row(
        name="an event of almost 7 days ago is sent",
        source=f"{PENDO}: track events",
        message=message({}, at=iso(NOW - timedelta(days=6, hours=23))),
        table=event(NOW - timedelta(days=6, hours=23)),
        mapping=EVENT,
        webhook=webhook({}, NOW - timedelta(days=6, hours=23)),
        track=track({}, NOW - timedelta(days=6, hours=23)),
        browser=browser({}),
    ),
    Row(
        name="an event older than 7 days is not processed; a browser tells of what happens now",
        source=f"{PENDO}: track events; {DEVICE}: track takes no time",
        message=message({"plan": "pro"}, at=iso(NOW - timedelta(days=7, minutes=1))),
        table=event(NOW - timedelta(days=7, minutes=1), plan="pro"),
        mapping={**EVENT, "traits": ["plan"]},
        webhook=Blocked("too_old"),
        track=Blocked("too_old"),
        browser=browser({"plan": "pro"}),
    ),
    Row(
        name="a time that can't be read is none",
        source=f"{SPEC}: common fields, timestamp is ISO 8601",
        message=message({"plan": "pro"}, at="yesterday"),
        table=event("yesterday", plan="pro"),
        mapping={**EVENT, "traits": ["plan"]},
        webhook=Blocked("missing_time"),
        track=Blocked("missing_time"),
        browser=Blocked("missing_time"),
        left_out="its time can't be read",
    ),
    # how much
    Row(
        name="properties of 512 bytes are sent",
        source=f"{PENDO}: track events",
        message=message({"note": "x" * 501}),
        table=event(note="x" * 501),
        mapping={**EVENT, "traits": ["note"]},
        webhook=webhook({"note": "x" * 501}),
        track=track({"note": "x" * 501}),
        browser=browser({"note": "x" * 501}),
    ),
    Row(
        name="properties over 512 bytes are not processed",
        source=f"{PENDO}: track events",
        message=message({"note": "x" * 502}),
        table=event(note="x" * 502),
        mapping={**EVENT, "traits": ["note"]},
        webhook=Blocked("large_properties"),
        track=Blocked("large_properties"),
        browser=Blocked("large_properties"),
    ),
    Row(
        name="bytes are counted, not characters",
        source=f"{PENDO}: track events",
        message=message({"note": "ü" * 251}),
        table=event(note="ü" * 251),
        mapping={**EVENT, "traits": ["note"]},
        webhook=Blocked("large_properties"),
        track=Blocked("large_properties"),
        browser=Blocked("large_properties"),
    ),
    Row(
        name="the property groupId counts as well; /data/track has the account beside the properties",
        source=f"{PENDO}: track events; {DOCS}: groupId goes into the properties",
        message=message({"note": "x" * 490, "groupId": "acme"}),
        table=event(note="x" * 490, org="acme"),
        mapping={**OF_ACCOUNT, "traits": ["note"]},
        webhook=Blocked("large_properties"),
        track=track({"note": "x" * 490}, accountId="acme"),
        browser=Blocked("large_properties"),
    ),
    Row(
        name="a property's name of 32 characters is taken, a longer one is not",
        source=f"{PENDO}: track events",
        message=message({"n" * 32: 1, "m" * 33: 2}),
        table=event(**{"n" * 32: 1, "m" * 33: 2}),
        mapping={**EVENT, "traits": ["n" * 32, "m" * 33]},
        webhook=Without.of(webhook({"n" * 32: 1}), "long_name"),
        track=Without.of(track({"n" * 32: 1}), "long_name"),
        browser=Without.of(browser({"n" * 32: 1}), "long_name"),
    ),
    Row(
        name="a property's name has letters, digits and underscores, and no digit first",
        source=f"{PENDO}: track events",
        message=message({"plan": "pro", "a-b": 1, "2nd": 2}),
        table=event(plan="pro", **{"a-b": 1, "2nd": 2}),
        mapping={**EVENT, "traits": ["plan", "a-b", "2nd"]},
        webhook=Without.of(webhook({"plan": "pro"}), "illegal_field_name"),
        track=Without.of(track({"plan": "pro"}), "illegal_field_name"),
        browser=Without.of(browser({"plan": "pro"}), "illegal_field_name"),
    ),
    Row(
        name="an event whose message is over 32 KB is not taken by Segment",
        source=f"{API}: max request size",
        message=message({"plan": "pro"}, event="x" * 33_000),
        table=event(plan="pro", what="x" * 33_000),
        mapping={**EVENT, "traits": ["plan"]},
        webhook=Blocked("large_message"),
        track=UNSAID,
        browser=browser({"plan": "pro"}, "x" * 33_000),
    ),
    # whom and what
    Row(
        name="an event has a name",
        source=f"{SPEC}: track needs event",
        message=message({"plan": "pro"}, event=" "),
        table=event(plan="pro", what=" "),
        mapping={**EVENT, "traits": ["plan"]},
        webhook=Blocked("missing_event"),
        track=Blocked("missing_event"),
        browser=Blocked("missing_event"),
        left_out="no event name",
    ),
    Row(
        name="without a user the server sends no event",
        source=f"{SPEC}: track needs userId or anonymousId; {PENDO}: ids",
        message=message({"plan": "pro"}, userId=None),
        table=event(plan="pro", user=None),
        mapping={**EVENT, "traits": ["plan"]},
        webhook=Blocked("missing_visitor"),
        track=Blocked("missing_visitor"),
        browser=Blocked("missing_visitor"),
        left_out="no user id (anonymous)",
    ),
    Row(
        name="an anonymous visitor's event is told by the browser alone",
        source=f"{DEVICE}: anonymous users; {PENDO}: ids",
        message=message({"plan": "pro"}, userId=None, anonymousId="507f"),
        table=event(plan="pro", user=None, anonymous="507f"),
        mapping={**EVENT, "anonymous_id": "anonymous", "traits": ["plan"]},
        webhook=Blocked("anonymous_id"),
        track=Blocked("anonymous_id"),
        browser=browser({"plan": "pro"}),
        left_out="no user id (anonymous)",
    ),
    Row(
        name="a visitor id over 128 bytes is cut by Pendo, so it is held back",
        source=f"{PENDO}: ids",
        message=message({"plan": "pro"}, userId="u" * 129),
        table=event(plan="pro", user="u" * 129),
        mapping={**EVENT, "traits": ["plan"]},
        webhook=Blocked("long_id"),
        track=Blocked("long_id"),
        browser=Blocked("long_id"),
    ),
    Row(
        name="ids of digits are texts",
        source=f"{PENDO}: ids are always sent as strings",
        message=message({"plan": "pro", "groupId": 7}, userId=1),
        table=event(plan="pro", user=1, org=7),
        mapping={**OF_ACCOUNT, "traits": ["plan"]},
        webhook=webhook({"plan": "pro", "groupId": "7"}, userId="1"),
        track=track({"plan": "pro"}, visitorId="1", accountId="7"),
        browser=browser({"plan": "pro", "groupId": "7"}),
    ),
]  # fmt: skip
