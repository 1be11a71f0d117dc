"""How many of Segment's messages a second become tables?

python -m benchmarks.messages [--messages 1000000] [--quick]
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pendosync as ps
from benchmarks.lines import report, told


def lines(n: int) -> Iterator[str]:
    """Yield *n* messages: of ten, five tracks, four identifies and a group."""
    for at in range(n):
        user, spread = f"u-{at % (n // 4 + 1)}", at * 2_654_435_761 % 4_294_967_291
        common = {"messageId": f"m-{at}", "userId": user, "timestamp": f"2026-01-{spread % 28 + 1:02}T08:00:00.{spread % 1000:03}Z"}  # fmt: skip
        traits = {
            "plan": ("free", "pro")[spread % 2],
            "seats": spread % 500,
            "score": spread / 7,
            "trial": spread % 3 == 0,
        }
        if at % 10 < 5:
            own = {
                "type": "track",
                "event": "Opened",
                "properties": {**traits, "page": {"path": f"/{spread % 99}"}},
            }
        elif at % 10 < 9:
            own = {"type": "identify", "traits": {**traits, "address": {"city": "Rome"}}}
        else:
            own = {"type": "group", "groupId": f"a-{spread % 1000}", "traits": traits}
        yield json.dumps({**common, **own})


def main() -> None:
    """Write the messages, load them, and print the pace."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--messages", type=int, default=1_000_000)
    ask.add_argument("--quick", action="store_true", help="a tenth of them")
    args = ask.parse_args()
    n = args.messages // 10 if args.quick else args.messages
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "messages.ndjson"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines(n))
        began = time.perf_counter()
        messages = ps.load_segment_messages(path)
        took = time.perf_counter() - began
    print(messages)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    report(
        "messages",
        [
            told("messages a second", n / took, "messages/s"),
            told("seconds", took, "s"),
            told("most memory", most, "GB"),
        ],
        head=f"{n:,} messages of Segment's, from NDJSON to tables",
    )


if __name__ == "__main__":
    main()
