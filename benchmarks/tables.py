"""The table that benchmarks share: seeded, of every type, with nulls and unicode."""

from __future__ import annotations

import polars as pl

TYPES = {
    "plan": "string",
    "region": "string",
    "email": "string",
    "seats": "integer",
    "logins": "integer",
    "score": "float",
    "mrr": "float",
    "trial": "boolean",
    "since": "time",
    "seen": "time",
}
"""The fields of the table, with Pendo's words for their types."""

FIELDS = (*TYPES,)


def make_users(n: int, *, seed: int = 0) -> pl.DataFrame:
    """Return *n* users with ten traits; the same for the same seed."""
    at = pl.int_range(n, dtype=pl.Int64)
    spread = (at * 2_654_435_761 + seed * 40_503) % 4_294_967_291
    second = 1_700_000_000_000 + spread % 60_000_000_000
    return pl.select(
        user_id=pl.format("u-{}", at + 100_000),
        plan=_pick(spread, ["free", "basic", "pro", "enterprise"]),
        region=pl.when(spread % 11 != 0).then(
            _pick(spread // 4, ["EMEA", "AMER", "APAC", "日本", "São Paulo"])
        ),
        email=pl.format("user.{}@example.com", spread),
        seats=pl.when(spread % 7 != 0).then(spread % 500),
        logins=spread % 10_000,
        score=(spread % 1_000_003) / 1_000_003,
        mrr=pl.when(spread % 5 != 0).then((spread % 100_000) / 100),
        trial=spread % 3 == 0,
        since=second.cast(pl.Datetime("ms")).dt.replace_time_zone("UTC"),
        seen=(second + 86_400_000).cast(pl.Datetime("ms")).dt.replace_time_zone("UTC"),
    )


def change_some(users: pl.DataFrame, *, every: int = 1) -> pl.DataFrame:
    """Return *users* as they were before: of each *every*-th row the plan, seats and score differ."""
    hit = pl.int_range(pl.len()) % every == 0
    return users.with_columns(
        plan=pl.when(hit).then(pl.lit("trial")).otherwise("plan"),
        seats=pl.when(hit).then(pl.col("seats") + 1).otherwise("seats"),
        score=pl.when(hit).then(pl.col("score") / 2).otherwise("score"),
    )


def _pick(number: pl.Expr, names: list[str]) -> pl.Expr:
    return (
        number.cast(pl.Int64).mod(len(names)).replace_strict(range(len(names)), names, return_dtype=pl.String)
    )
