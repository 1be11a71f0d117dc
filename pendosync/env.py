"""What the environment and `.env` say; nothing here changes them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from collections.abc import Mapping as AbstractMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from dotenv import dotenv_values

from pendosync.errors import SettingsError
from pendosync.folders import make_hidden
from pendosync.keys import WHERE, Secret
from pendosync.regions import Pace

N = TypeVar("N", int, float)

_PLAIN: Final = (
    "PENDO_REGION", "PENDO_ACCESS", "PENDO_API_URL", "PENDO_DATA_URL",
    "PENDO_API_MAX_PER_SECOND", "PENDO_API_MAX_AT_ONCE", "PENDO_API_MAX_ROWS_PER_SECOND",
    "PENDO_DATA_MAX_PER_SECOND", "PENDO_DATA_MAX_AT_ONCE", "PENDO_DATA_MAX_ROWS_PER_SECOND",
    "PENDO_AGENT_URL", "PENDO_USER_TRAITS_ON_LOAD", "PENDO_GROUP_ON_LOAD", "PENDO_ACCOUNT_TRAIT",
)  # fmt: skip
"""What is set beside the keys."""


def find_env_file(start: Path | None = None) -> Path | None:
    """Return the nearest `.env` at or above *start* (the working directory), or None."""
    here = (start or Path.cwd()).resolve()
    return next((folder / ".env" for folder in (here, *here.parents) if (folder / ".env").is_file()), None)


def own_folder() -> Path:
    """Return where what we write lies by default: `.pendosync` beside the nearest `.env`, or in the working directory."""
    env = find_env_file()
    return (env.parent if env else Path.cwd()) / ".pendosync"


def plans_folder() -> Path:
    """Return where plans in parts lie by default."""
    return own_folder() / "plans"


def new_plan_folder() -> Path:
    """Return where a plan in parts lies by default: under a name that is new."""
    plans = plans_folder()
    make_hidden(plans)
    return plans / f"{datetime.now(UTC):%Y-%m-%d}-{secrets.token_hex(3)}"


def read_env(path: str | Path | None) -> tuple[dict[str, str | None], dict[str, Secret]]:
    """Return what is set, and the keys apart from it: whoever looks for a wrong value never holds one as a text.

    Args:
        path: a `.env` file; None searches one from the working directory upward. The environment wins.

    Raises:
        SettingsError: *path* does not exist, or can't be read.
    """
    found = Path(path) if path is not None else find_env_file()
    if path is not None and found is not None and not found.is_file():
        raise SettingsError(
            f"There is no file {str(path)!r}. Expected a .env file. Hint: copy .env.example to .env, or leave "
            f"the path out to search from the working directory upward."
        )
    lines = {**(_read_lines(found) if found is not None else {}), **os.environ}
    texts = {name: lines.get(variable) for name, (_, variable, _) in WHERE.items()}
    keys = {name: Secret(text) for name, text in texts.items() if text}
    return {name: lines.get(name) for name in _PLAIN}, keys


def _read_lines(path: Path) -> dict[str, str | None]:
    try:
        return dotenv_values(path)
    except (OSError, UnicodeDecodeError) as error:
        told = (
            "it is not UTF-8"
            if isinstance(error, UnicodeDecodeError)
            else error.strerror or "no reason given"
        )
    # outside of the except clause: what comes from below holds the file's content
    raise SettingsError(
        f"{str(path)!r} can't be read ({told}). Expected a text file in UTF-8. Hint: save it again as UTF-8, and see "
        f"that you may read it."
    )


def flag_of(values: AbstractMapping[str, str | None], name: str) -> bool:
    """Return the flag of that name; nothing is true."""
    text = (values.get(name) or "true").strip().lower()
    if text not in ("true", "false"):
        raise SettingsError.bad_value(name, text, "true or false")
    return text == "true"


def pace_of(values: AbstractMapping[str, str | None], prefix: str, default: Pace) -> Pace:
    """Return the pace whose limits begin with *prefix*."""
    return Pace(
        max_per_second=_limit(values, f"{prefix}_MAX_PER_SECOND", float, default.max_per_second),
        max_at_once=_limit(values, f"{prefix}_MAX_AT_ONCE", int, default.max_at_once),
        max_rows_per_second=_limit(
            values, f"{prefix}_MAX_ROWS_PER_SECOND", float, default.max_rows_per_second
        ),
    )


def _limit(
    values: AbstractMapping[str, str | None], name: str, kind: Callable[[str], N], default: N | None
) -> N | None:
    """Return the number of that name; `none` is no limit, and nothing the default."""
    text = (values.get(name) or "").strip()
    if not text or text.lower() == "none":
        return None if text else default
    try:
        return kind(text)
    except ValueError:
        raise SettingsError.bad_value(name, text, "a number, or 'none' for no limit") from None
