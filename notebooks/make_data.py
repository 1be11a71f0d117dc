"""Write the small tables that the notebooks use: `python notebooks/make_data.py`. The same bytes each time.

The users and accounts are those of the embedded Pendo, a few months on, with the flaws that real tables have.
"""

from __future__ import annotations

import csv
from pathlib import Path

FOLDER = Path(__file__).parent / "data"
PLANS = ("free", "team", "business", "enterprise")
REGIONS = ("EMEA", "AMER", "APAC")
ACCOUNTS = (
    "acme",
    "globex",
    "initech",
    "umbrella",
    "hooli",
    "stark",
    "wayne",
    "wonka",
    "cyberdyne",
    "tyrell",
)
USER_COLUMNS = (
    "user_id",
    "account_id",
    "Plan",
    "Seats",
    "Score",
    "On Trial",
    "Signed Up",
    "Sales Region",
    "shoe_size",
)
ACCOUNT_COLUMNS = ("account_id", "plan", "seats", "MRR", "renewal", "industry")


def users() -> list[tuple[object, ...]]:
    """Return 48 users, and seven rows that no pipeline should believe."""
    rows = [_user(number) for number in range(1, 49)]
    rows[6] = ("U-0007", *rows[6][1:])
    return [
        *rows,
        ("u-0012", "acme", "team", 3, 1.5, "no", "2026-02-03", "EMEA", 41),
        ("", "acme", "team", 3, 1.5, "true", "2026-02-03", "EMEA", 42),
        ("_PENDO_T_Ab3dE", "globex", "free", 1, 0.5, "true", "2026-02-03", "AMER", 43),
        ("u-9001", "globex", "team", 4, 0.7, "false", "2026-02-03", "AMER", 44),
        ("u-9002", "hooli", "team", 4, 0.9, "false", "2026-02-03", "APAC", 45),
        ("u-0061", "hooli", "business", "many", 7.5, "false", "2026-03-04", "APAC", 46),
        ("u-0062", "stark", "business", 12, "NaN", "false", "2026-03-05", "EMEA", 47),
    ]


def accounts() -> list[tuple[object, ...]]:
    """Return the ten accounts of the users."""
    return [
        (
            name,
            PLANS[at % 4],
            10 * at + 5,
            f"{1250.5 + 300 * at:.2f}",
            f"2027-{at % 12 + 1:02}-01",
            "software" if at % 3 else "retail",
        )
        for at, name in enumerate(ACCOUNTS)
    ]


def _user(number: int) -> tuple[object, ...]:
    day = f"2025-{number % 12 + 1:02}-{number % 27 + 1:02}"
    return (
        f"u-{number:04}", ACCOUNTS[number % 10], PLANS[number % 4], number % 9 + 1, number * 8 % 100 / 8,
        "true" if number % 5 == 0 else "false", day, REGIONS[number % 3], 36 + number % 12,
    )  # fmt: skip


def write(name: str, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Write one CSV."""
    FOLDER.mkdir(exist_ok=True)
    with open(FOLDER / name, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)


if __name__ == "__main__":
    write("users.csv", USER_COLUMNS, users())
    write("accounts.csv", ACCOUNT_COLUMNS, accounts())
