"""What our push sent is read back from the sandbox as a public client would read it from Pendo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
from tools import events_in

import pendosync as ps

AT = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)


def test_an_event_pushed_by_pendos_own_route_is_read_back(sandbox, client, journal) -> None:
    rows = pl.DataFrame([{"user": "u-0001", "account": "acme", "name": "Signed", "at": AT, "plan": "pro"}])
    columns = {"visitor_id": "user", "account_id": "account", "event": "name", "at": "at"}
    mapping = ps.Mapping("event", traits=["plan"], route="track", **columns)
    ps.push(ps.plan_table(rows, mapping, client=client), client=client, journal=journal).wait()
    (row,) = events_in(sandbox)
    assert (row["visitorId"], row["accountId"], row["properties"]) == ("u-0001", "acme", {"plan": "pro"})
    assert (row["numEvents"], row["firstTime"]) == (1, int(AT.timestamp() * 1000))
