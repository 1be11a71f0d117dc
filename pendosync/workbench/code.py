"""What the workbench does, as the cell of code that would do the same."""

from __future__ import annotations

from pendosync.preview.mapping_code import write_code
from pendosync.workbench.desk import Desk

_TABLES = {"visitor": "users", "account": "accounts"}


def push_code(desk: Desk) -> str:
    """Return the cell that maps, compares, selects and pushes what the desk would."""
    table = _TABLES[desk.mapping.kind]
    options = [f"keep={desk.keep!r}"] if desk.keep else []
    options += [f"create={desk.creates!r}"] if desk.creates != "never" else []
    more = "".join(f", {option}" for option in options)
    lines = [
        write_code(desk.mapping).python.rstrip(),
        f"plan = ps.plan_table({table}, mapping, client=client{more})",
    ]
    if desk.preview is not None:
        lifts = ", ".join(f"{gate}={lift!r}" for gate, lift in desk.lifted.items())
        chosen = desk.preview.code.replace("plan.select()", "plan") + (f".lift({lifts})" if lifts else "")
        lines += [f"chosen = {chosen}", "run = ps.push(chosen, client=client, journal=journal)"]
    return "\n".join(lines)
