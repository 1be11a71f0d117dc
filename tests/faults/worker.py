"""A process of its own that pushes on command, so that it can be killed, halted and watched: see `workers.py`.

Commands come as lines of JSON on stdin, and each is answered by one on stdout.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pendosync as ps


def main() -> None:
    where = json.loads(sys.argv[1])
    pace = ps.Pace(where.pop("max_per_second"), where.pop("max_at_once"))
    settings = ps.Settings(**where, access="write", api_pace=pace, data_pace=pace)
    with ps.open_client(settings) as client:
        ps.check_access(client)
        answer({"ready": True})
        runs: list[ps.Run] = []
        for line in sys.stdin:
            command = json.loads(line)
            try:
                answer(done(command, client, ps.open_journal(command["journal"]), runs))
            except ps.PendosyncError as error:
                answer({"error": type(error).__name__, "told": str(error)})


def done(
    command: dict[str, Any], client: ps.Client, journal: ps.Journal, runs: list[ps.Run]
) -> dict[str, Any]:
    match command:
        case {"do": "push", "plan": folder}:
            runs.append(ps.push(ps.load_plan(folder), client=client, journal=journal, show=False))
        case {"do": "resume", "run_id": run_id}:
            runs.append(ps.resume_push(journal, run_id, client=client, show=False))
        case {"do": "attach", "run_id": run_id}:
            runs.append(ps.attach_run(journal, run_id, show=False))
        case {"do": "ask", "verb": verb}:
            getattr(runs[-1], verb)()
        case {"do": "wait"}:
            runs[-1].wait()
    progress = runs[-1].progress
    return {"run_id": runs[-1].id, "state": progress.state, "counts": dict(progress.counts)}


def answer(content: dict[str, Any]) -> None:
    print(json.dumps(content), flush=True)


if __name__ == "__main__":
    main()
