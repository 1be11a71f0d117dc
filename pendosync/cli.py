"""The command line: `pendosync sandbox …`. Each subcommand adds itself in one function."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pendosync.errors import PendosyncError, SandboxError
from pendosync.regions import REGIONS

if TYPE_CHECKING:
    from pendosync.sandbox.state import Place

Subcommands = Any  # argparse keeps this type to itself


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit code: 0, 1 for an error of ours, 2 for a wrong option."""
    parser = argparse.ArgumentParser(prog="pendosync", description="From a table to Pendo, and back.")
    subcommands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_sandbox,):
        add(subcommands)
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except PendosyncError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _add_sandbox(subcommands: Subcommands) -> None:
    parser = subcommands.add_parser("sandbox", help="run an embedded Pendo on this machine")
    parser.set_defaults(run=_run_sandbox)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; a free one if left out")
    parser.add_argument("--region", choices=tuple(REGIONS), default="us", help="the region that is populated")
    parser.add_argument("--state", type=Path, metavar="FILE", help="file that keeps the contents")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other people")
    parser.add_argument("--visitors", type=int, default=200, help="how many visitors (200)")
    parser.add_argument(
        "--keep-mb", type=int, default=256, help="bodies of received requests kept, in MB (256)"
    )
    parser.add_argument(
        "--switch",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a reading of what is uncertain; VALUE as JSON or text; see docs/sandbox.md",
    )
    parser.add_argument("--leashed", action="store_true", help=argparse.SUPPRESS)


def _run_sandbox(arguments: argparse.Namespace) -> None:
    from pendosync.sandbox.server import Options, run_server  # tornado: only this subcommand needs it

    options = Options(
        region=arguments.region,
        port=arguments.port,
        seed=arguments.seed,
        visitors=arguments.visitors,
        state=arguments.state.resolve() if arguments.state else None,
        switches=dict(_switch(text) for text in arguments.switch),
        keep_mb=arguments.keep_mb,
        leashed=arguments.leashed,
    )

    def announce(place: Place) -> None:
        print(json.dumps(asdict(place)) if options.leashed else _line(place, options.region), flush=True)

    run_server(options, announce)


def _line(place: Place, region: str) -> str:
    stop = "stop it with Ctrl-C" if os.name == "nt" else f"stop it with Ctrl-C or kill {place.pid}"
    return f"Pendo sandbox on http://127.0.0.1:{place.port}/{region} · token {place.token} · {stop}"


def _switch(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SandboxError(
            f"--switch {text!r} has no value. Expected NAME=VALUE. Hint: --switch null_in_writes=ignored."
        )
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
