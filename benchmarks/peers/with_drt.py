"""drt: a sync from DuckDB to its REST destination, a thousand rows a request, with its pace turned off.

The query nests the traits, so that its template only has to write the rows as JSON.
"""

from pathlib import Path

from common import BATCH, PATH, race
from drt.config.credentials import DuckDBProfile
from drt.config.models import SyncConfig
from drt.destinations.rest_api import RestApiDestination
from drt.engine.sync import run_sync
from drt.sources.duckdb import DuckDBSource

TRAITS = ("plan", "region", "email", "seats", "logins", "score", "mrr", "trial", "since", "seen")


def push(args) -> None:
    traits = ", ".join(f"'{name}': {name}" for name in TRAITS)
    sync = SyncConfig.model_validate(
        {
            "name": "users",
            "model": f'SELECT user_id AS "visitorId", {{{traits}}} AS "values" FROM \'{args.path}\' LIMIT {args.rows}',
            "destination": {
                "type": "rest_api",
                "url": args.url + PATH,
                "headers": {"Content-Type": "application/json"},
                "body_mode": "batch",
                "batch_template": "{{ rows | tojson_safe }}",
            },
            "sync": {"batch_size": BATCH, "rate_limit": {"requests_per_second": 0}},
        }
    )
    profile = DuckDBProfile(type="duckdb", database=":memory:")
    result = run_sync(sync, DuckDBSource(), RestApiDestination(), profile, Path.cwd())
    assert result.success == args.rows, result


race(push, "drt-core")
