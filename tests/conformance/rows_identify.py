"""Identify: the user is a visitor, and the traits are what Pendo holds of one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

from table import DEVICE, PENDO, SPEC, Blocked, Row, Without

ROWS: Final = [
    Row(
        name="the user id is the visitor's, the traits are the visitor's metadata",
        source=f"{SPEC}; {PENDO}, Segment webhook; {DEVICE}",
        message={"type": "identify", "userId": "u-1", "traits": {"plan": "pro", "seats": 5, "score": 1.5, "trial": False}},
        table={"id": "u-1", "plan": "pro", "seats": 5, "score": 1.5, "trial": False},
        mapping={"id": "id", "traits": ["plan", "seats", "score", "trial"]},
        webhook={"type": "identify", "userId": "u-1", "traits": {"plan": "pro", "seats": 5, "score": 1.5, "trial": False}},
        browser=("identify", {"visitor": {"plan": "pro", "seats": 5, "score": 1.5, "trial": False, "id": "u-1"}}),
    ),
    Row(
        name="a browser tells the visitor's account beside the visitor; an identify of the webhook has no place for it",
        source=f"{DEVICE}: identify; {SPEC}: identify",
        message=None,
        kind="visitor",
        table={"id": "u-1", "plan": "pro", "org": "acme"},
        mapping={"id": "id", "traits": ["plan"], "account_id": "org"},
        webhook={"type": "identify", "userId": "u-1", "traits": {"plan": "pro"}},
        browser=("identify", {"visitor": {"plan": "pro", "id": "u-1"}, "account": {"id": "acme"}}),
    ),
    Row(
        name="a visitor without an account is told alone",
        source=f"{DEVICE}: identify",
        message=None,
        kind="visitor",
        table={"id": "u-1", "plan": "pro", "org": None},
        mapping={"id": "id", "traits": ["plan"], "account_id": "org"},
        webhook={"type": "identify", "userId": "u-1", "traits": {"plan": "pro"}},
        browser=("identify", {"visitor": {"plan": "pro", "id": "u-1"}}),
    ),
    Row(
        name="reserved traits that are texts travel as texts",
        source=f"{SPEC}: identify, reserved traits",
        message={
            "type": "identify",
            "userId": "u-1",
            "traits": {
                "email": "ann@example.com", "firstName": "Ann", "lastName": "Lee", "name": "Ann Lee", "gender": "f",
                "phone": "+39 06 1234", "title": "VP", "username": "ann", "website": "https://example.com",
                "avatar": "https://example.com/a.png", "description": "likes tables",
            },
        },
        table={
            "id": "u-1", "email": "ann@example.com", "firstName": "Ann", "lastName": "Lee", "name": "Ann Lee", "gender": "f",
            "phone": "+39 06 1234", "title": "VP", "username": "ann", "website": "https://example.com",
            "avatar": "https://example.com/a.png", "description": "likes tables",
        },
        mapping={
            "id": "id",
            "traits": ["email", "firstName", "lastName", "name", "gender", "phone", "title", "username", "website", "avatar",
                       "description"],
        },
        webhook={
            "type": "identify",
            "userId": "u-1",
            "traits": {
                "email": "ann@example.com", "firstName": "Ann", "lastName": "Lee", "name": "Ann Lee", "gender": "f",
                "phone": "+39 06 1234", "title": "VP", "username": "ann", "website": "https://example.com",
                "avatar": "https://example.com/a.png", "description": "likes tables",
            },
        },
        browser=(
            "identify",
            {
                "visitor": {
                    "email": "ann@example.com", "firstName": "Ann", "lastName": "Lee", "name": "Ann Lee", "gender": "f",
                    "phone": "+39 06 1234", "title": "VP", "username": "ann", "website": "https://example.com",
                    "avatar": "https://example.com/a.png", "description": "likes tables", "id": "u-1",
                }
            },
        ),
    ),
    Row(
        name="a phone, name, title or username of digits travels as text",
        source=f"{SPEC}: identify, reserved traits",
        message={"type": "identify", "userId": "u-1", "traits": {"phone": 391234567, "name": 7, "title": 1, "username": 1001}},
        table={"id": "u-1", "phone": 391234567, "name": 7, "title": 1, "username": 1001},
        mapping={"id": "id", "traits": ["phone", "name", "title", "username"]},
        webhook={"type": "identify", "userId": "u-1", "traits": {"phone": "391234567", "name": "7", "title": "1", "username": "1001"}},
        browser=("identify", {"visitor": {"phone": "391234567", "name": "7", "title": "1", "username": "1001", "id": "u-1"}}),
    ),
    Row(
        name="createdAt and birthday in ISO 8601 travel as dates, with milliseconds and offset",
        source=f"{SPEC}: identify, reserved traits; {PENDO}: dates",
        message={
            "type": "identify",
            "userId": "u-1",
            "traits": {"createdAt": "2026-01-02T05:04:05.678+02:00", "birthday": "1990-05-17"},
        },
        table={"id": "u-1", "createdAt": "2026-01-02T05:04:05.678+02:00", "birthday": "1990-05-17"},
        mapping={"id": "id", "traits": ["createdAt", "birthday"]},
        webhook={
            "type": "identify",
            "userId": "u-1",
            "traits": {"createdAt": "2026-01-02T03:04:05.678+00:00", "birthday": "1990-05-17T00:00:00.000+00:00"},
        },
        browser=(
            "identify",
            {
                "visitor": {
                    "createdAt": "2026-01-02T03:04:05.678+00:00", "birthday": "1990-05-17T00:00:00.000+00:00", "id": "u-1",
                }
            },
        ),
    ),
    Row(
        name="a table's own dates are dates as well",
        source=f"{SPEC}: identify, reserved traits; {PENDO}: dates",
        message=None,
        kind="visitor",
        table={"id": "u-1", "createdAt": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "birthday": date(1990, 5, 17)},
        mapping={"id": "id", "traits": ["createdAt", "birthday"]},
        webhook={
            "type": "identify",
            "userId": "u-1",
            "traits": {"createdAt": "2026-01-02T03:04:05.000+00:00", "birthday": "1990-05-17T00:00:00.000+00:00"},
        },
        browser=(
            "identify",
            {
                "visitor": {
                    "createdAt": "2026-01-02T03:04:05.000+00:00", "birthday": "1990-05-17T00:00:00.000+00:00", "id": "u-1",
                }
            },
        ),
    ),
    Row(
        name="an age is a number, also where it stands as text",
        source=f"{SPEC}: identify, reserved traits",
        message={"type": "identify", "userId": "u-1", "traits": {"age": "42"}},
        table={"id": "u-1", "age": "42"},
        mapping={"id": "id", "traits": ["age"]},
        webhook={"type": "identify", "userId": "u-1", "traits": {"age": 42}},
        browser=("identify", {"visitor": {"age": 42, "id": "u-1"}}),
    ),
    Row(
        name="an age with a fraction is a number that is kept whole",
        source=f"{SPEC}: identify, reserved traits",
        message={"type": "identify", "userId": "u-1", "traits": {"age": 42.5}},
        table={"id": "u-1", "age": 42.5},
        mapping={"id": "id", "traits": ["age"]},
        webhook={"type": "identify", "userId": "u-1", "traits": {"age": 42.5}},
        browser=("identify", {"visitor": {"age": 42.5, "id": "u-1"}}),
    ),
    Row(
        name="address and company are objects, whose parts travel by themselves",
        source=f"{SPEC}: identify, reserved traits; {PENDO}: nested objects are not described",
        message={
            "type": "identify",
            "userId": "u-1",
            "traits": {
                "address": {"street": "Via Po 1", "city": "Rome", "postalCode": "00198", "country": "Italy"},
                "company": {"name": "Acme", "id": 7, "industry": "Tools", "employee_count": 50, "plan": "pro"},
            },
        },
        table={
            "id": "u-1",
            "address": {"street": "Via Po 1", "city": "Rome", "postalCode": "00198", "country": "Italy"},
            "company": {"name": "Acme", "id": 7, "industry": "Tools", "employee_count": 50, "plan": "pro"},
        },
        mapping={"id": "id", "traits": ["address", "company"]},
        webhook={
            "type": "identify",
            "userId": "u-1",
            "traits": {
                "address_street": "Via Po 1", "address_city": "Rome", "address_postalCode": "00198", "address_country": "Italy",
                "company_name": "Acme", "company_id": 7, "company_industry": "Tools", "company_employee_count": 50,
                "company_plan": "pro",
            },
        },
        browser=(
            "identify",
            {
                "visitor": {
                    "address_street": "Via Po 1", "address_city": "Rome", "address_postalCode": "00198",
                    "address_country": "Italy", "company_name": "Acme", "company_id": 7, "company_industry": "Tools",
                    "company_employee_count": 50, "company_plan": "pro", "id": "u-1",
                }
            },
        ),
    ),
    Row(
        name="a company that is no object travels as it is, with a warning",
        source=f"{SPEC}: identify, reserved traits",
        message={"type": "identify", "userId": "u-1", "traits": {"company": "Acme"}},
        table={"id": "u-1", "company": "Acme"},
        mapping={"id": "id", "traits": ["company"]},
        webhook={"type": "identify", "userId": "u-1", "traits": {"company": "Acme"}},
        browser=("identify", {"visitor": {"company": "Acme", "id": "u-1"}}),
        warns=("spec_type",),
    ),
    Row(
        name="objects are flattened as deep as they go",
        source=f"{PENDO}: nested objects are not described",
        message={"type": "identify", "userId": "u-1", "traits": {"prefs": {"mail": {"weekly": True, "at": "9:00"}}}},
        table={"id": "u-1", "prefs": {"mail": {"weekly": True, "at": "9:00"}}},
        mapping={"id": "id", "traits": ["prefs"]},
        webhook={"type": "identify", "userId": "u-1", "traits": {"prefs_mail_weekly": True, "prefs_mail_at": "9:00"}},
        browser=("identify", {"visitor": {"prefs_mail_weekly": True, "prefs_mail_at": "9:00", "id": "u-1"}}),
    ),
    Row(
        name="a trait `id` never displaces the user's id",
        source=f"{DEVICE}: the id wins; {SPEC}: identify, reserved traits",
        message={"type": "identify", "userId": "u-1", "traits": {"id": "other", "plan": "pro"}},
        webhook={"type": "identify", "userId": "u-1", "traits": {"plan": "pro"}},
        browser=("identify", {"visitor": {"plan": "pro", "id": "u-1"}}),
    ),
    Row(
        name="lists of texts are the agent's alone",
        source=f"{PENDO}: lists; {DEVICE}: arrays of strings",
        message={"type": "identify", "userId": "u-1", "traits": {"plan": "pro", "tags": ["a", "b"]}},
        table={"id": "u-1", "plan": "pro", "tags": ["a", "b"]},
        mapping={"id": "id", "traits": ["plan", "tags"]},
        webhook=Without.of({"type": "identify", "userId": "u-1", "traits": {"plan": "pro"}}, "list_outside_agent"),
        browser=("identify", {"visitor": {"plan": "pro", "tags": ["a", "b"], "id": "u-1"}}),
    ),
    Row(
        name="a table's list of whole numbers is a list of texts in a browser",
        source=f"{PENDO}: lists; {DEVICE}: arrays of strings",
        message=None,
        kind="visitor",
        table={"id": "u-1", "plan": "pro", "teams": [1, 22]},
        mapping={"id": "id", "traits": ["plan", "teams"]},
        webhook=Without.of({"type": "identify", "userId": "u-1", "traits": {"plan": "pro"}}, "list_outside_agent"),
        browser=("identify", {"visitor": {"plan": "pro", "teams": ["1", "22"], "id": "u-1"}}),
    ),
    Row(
        name="texts of any script, quotes and line breaks arrive as they are",
        source=f"{SPEC}: a message is JSON",
        message={"type": "identify", "userId": 'ünï/"😀"', "traits": {"note": 'a "b"\n</script>\\ \u2028 \u0007'}},
        table={"id": 'ünï/"😀"', "note": 'a "b"\n</script>\\ \u2028 \u0007'},
        mapping={"id": "id", "traits": ["note"]},
        webhook={"type": "identify", "userId": 'ünï/"😀"', "traits": {"note": 'a "b"\n</script>\\ \u2028 \u0007'}},
        browser=("identify", {"visitor": {"note": 'a "b"\n</script>\\ \u2028 \u0007', "id": 'ünï/"😀"'}}),
    ),
    Row(
        name="a null leaves what Pendo holds alone",
        source=f"{PENDO}: the meaning of null is not documented, so it is left out",
        message={"type": "identify", "userId": "u-1", "traits": {"plan": None, "seats": 5}},
        table={"id": "u-1", "plan": None, "seats": 5},
        mapping={"id": "id", "traits": ["plan", "seats"]},
        webhook={"type": "identify", "userId": "u-1", "traits": {"seats": 5}},
        browser=("identify", {"visitor": {"seats": 5, "id": "u-1"}}),
    ),
    Row(
        name="a user id of digits is a text",
        source=f"{PENDO}: ids are always sent as strings; {SPEC}: userId",
        message={"type": "identify", "userId": 42, "traits": {"plan": "pro"}},
        table={"id": 42, "plan": "pro"},
        mapping={"id": "id", "traits": ["plan"]},
        webhook={"type": "identify", "userId": "42", "traits": {"plan": "pro"}},
        browser=("identify", {"visitor": {"plan": "pro", "id": "42"}}),
    ),
    Row(
        name="names of fields have letters, digits and underscores, and no digit first",
        source=f"{PENDO}: fields",
        message={"type": "identify", "userId": "u-1", "traits": {"plan": "pro", "a-b": 1, "2nd": 2, "a b": 3}},
        table={"id": "u-1", "plan": "pro", "a-b": 1, "2nd": 2, "a b": 3},
        mapping={"id": "id", "traits": ["plan", "a-b", "2nd", "a b"]},
        webhook=Without.of({"type": "identify", "userId": "u-1", "traits": {"plan": "pro"}}, "illegal_field_name"),
        browser=Without.of(("identify", {"visitor": {"plan": "pro", "id": "u-1"}}), "illegal_field_name"),
    ),
    Row(
        name="whole numbers that a browser or a reader of JSON would round are held back",
        source="RFC 8259, section 6, on numbers beyond 2^53",
        message={"type": "identify", "userId": "u-1", "traits": {"plan": "pro", "big": 9007199254740993}},
        table={"id": "u-1", "plan": "pro", "big": 9007199254740993},
        mapping={"id": "id", "traits": ["plan", "big"]},
        webhook=Without.of({"type": "identify", "userId": "u-1", "traits": {"plan": "pro"}}, "unsafe_integer"),
        browser=Without.of(("identify", {"visitor": {"plan": "pro", "id": "u-1"}}), "unsafe_integer"),
    ),
    Row(
        name="a visitor id over 128 bytes is cut by Pendo, so it is held back",
        source=f"{PENDO}: ids",
        message={"type": "identify", "userId": "ü" * 65, "traits": {"plan": "pro"}},
        table={"id": "ü" * 65, "plan": "pro"},
        mapping={"id": "id", "traits": ["plan"]},
        webhook=Blocked("long_id"),
        browser=Blocked("long_id"),
    ),
    Row(
        name="a visitor id of 128 bytes is sent",
        source=f"{PENDO}: ids",
        message={"type": "identify", "userId": "ü" * 64, "traits": {"plan": "pro"}},
        table={"id": "ü" * 64, "plan": "pro"},
        mapping={"id": "id", "traits": ["plan"]},
        webhook={"type": "identify", "userId": "ü" * 64, "traits": {"plan": "pro"}},
        browser=("identify", {"visitor": {"plan": "pro", "id": "ü" * 64}}),
    ),
    Row(
        name="without a user id the browser's visitor is _PENDO_T_ and the anonymous id; the server never sends",
        source=f"{DEVICE}: anonymous users; {PENDO}: ids",
        message={"type": "identify", "anonymousId": "507f-191e", "traits": {"plan": "pro"}},
        table={"id": None, "anonymous": "507f-191e", "plan": "pro"},
        mapping={"id": "id", "anonymous_id": "anonymous", "traits": ["plan"]},
        webhook=Blocked("anonymous_id"),
        browser=("identify", {"visitor": {"plan": "pro", "id": "_PENDO_T_507f-191e"}}),
        left_out="no user id (anonymous)",
    ),
    Row(
        name="a user id counts, and the anonymous id beside it does not",
        source=f"{DEVICE}: anonymous users",
        message={"type": "identify", "userId": "u-1", "anonymousId": "507f-191e", "traits": {"plan": "pro"}},
        table={"id": "u-1", "anonymous": "507f-191e", "plan": "pro"},
        mapping={"id": "id", "anonymous_id": "anonymous", "traits": ["plan"]},
        webhook={"type": "identify", "userId": "u-1", "traits": {"plan": "pro"}},
        browser=("identify", {"visitor": {"plan": "pro", "id": "u-1"}}),
    ),
    Row(
        name="an id that Pendo gave to an anonymous visitor is no user's",
        source=f"{PENDO}: ids",
        message=None,
        kind="visitor",
        table={"id": "_PENDO_T_abc", "plan": "pro"},
        mapping={"id": "id", "traits": ["plan"]},
        webhook=Blocked("anonymous_id"),
        browser=("identify", {"visitor": {"plan": "pro", "id": "_PENDO_T_abc"}}),
    ),
    Row(
        name="with neither id nothing is sent",
        source=f"{SPEC}: an identify needs userId or anonymousId",
        message={"type": "identify", "userId": " ", "traits": {"plan": "pro"}},
        table={"id": " ", "anonymous": None, "plan": "pro"},
        mapping={"id": "id", "anonymous_id": "anonymous", "traits": ["plan"]},
        webhook=Blocked("missing_id"),
        browser=Blocked("missing_id"),
        left_out="no user id (anonymous)",
    ),
]  # fmt: skip
