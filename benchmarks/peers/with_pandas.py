"""What one writes by hand with pandas and requests: `to_dict` of a thousand rows at a time, or `iterrows`."""

import json

import pandas as pd
from common import BATCH, post, race, record


def read(args) -> pd.DataFrame:
    """Return the table with its times as text and its missing values as None, which JSON needs."""
    users = pd.read_parquet(args.path).head(args.rows)
    for name in users.select_dtypes("datetimetz"):
        users[name] = users[name].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return users.astype(object).where(users.notna(), None)


def push(args) -> None:
    users = read(args)
    if args.style == "to_dict":
        for at in range(0, len(users), BATCH):
            rows = users.iloc[at : at + BATCH].to_dict("records")
            post(args.url, json.dumps([record(row) for row in rows]))
        return
    batch = []
    for _, row in users.iterrows():
        batch.append({"visitorId": row["user_id"], "values": row.drop("user_id").to_dict()})
        if len(batch) == BATCH:
            post(args.url, json.dumps(batch))
            batch = []
    if batch:
        post(args.url, json.dumps(batch))


race(push, "pandas", style="to_dict")
