"""Write a picture of each widget, light and dark, into build/shots/: `make shots`.

What they show is made of the tables in notebooks/data and the embedded Pendo, on a blank page with JupyterLab's theme.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import polars as pl
from blank import Blank, Theme, open_blank
from lab import ROOT, find_chromium, open_browser
from playwright.sync_api import Locator, expect

import pendosync as ps
from pendosync.frames import Progress
from pendosync.preview.run_view import run_html
from pendosync.preview.view import View
from pendosync.workbench.bench import Workbench

FOLDER = ROOT / "build" / "shots"
WIDTH = 1200


@dataclass(frozen=True)
class World:
    """What the widgets show."""

    users: pl.DataFrame
    mapping: ps.Mapping
    fields: pl.DataFrame
    plan: ps.Plan
    bench: Workbench
    progress: Progress


@dataclass(frozen=True)
class Shot:
    """One picture: a widget or its HTML, and what is clicked before it is taken."""

    name: str
    show: Callable[[World], View | str]
    click: Callable[[Locator], None] = lambda root: None


def look_into_a_row(root: Locator) -> None:
    """Press the chip of the rows that are updated, and open one of them."""
    root.locator(".ps-chip").filter(has_text="update").click()
    root.get_by_role("checkbox", name="Select u-0003").click()
    root.get_by_role("rowheader", name="u-0004").click()
    root.get_by_role("complementary").wait_for()
    expect(root.locator(".pp-heading svg")).to_have_count(root.locator(".pp-picture").count())


def begin_a_push(root: Locator) -> None:
    """Open the last tab of the workbench."""
    root.get_by_role("tab", name="Push").click()
    root.get_by_text("The same in code").wait_for()


SHOTS = (
    Shot("edit_mapping", lambda world: ps.edit_mapping(world.users, world.mapping, fields=world.fields)),
    Shot("preview_plan", lambda world: ps.preview_plan(world.plan), look_into_a_row),
    Shot("run", lambda world: run_html(world.progress)),
    Shot("workbench", lambda world: world.bench, begin_a_push),
)
"""A line per widget."""


PLACE = ps.Target("eu", "https://app.eu.pendo.io", "https://data.eu.pendo.io")
"""What the pictures name: the embedded Pendo's port is another each time."""


@contextmanager
def make_world(folder: Path) -> Iterator[World]:
    """Plan what the sample table would change in the embedded Pendo, and push a part of it that partly fails."""
    with ps.open_sandbox() as sandbox, ps.open_client(sandbox.settings) as client:
        journal = ps.open_journal(folder)
        users = ps.load_table(ROOT / "notebooks" / "data" / "users.csv").lazy().collect()
        fields = ps.fetch_fields(client, kind="visitor")
        suggested = ps.suggest_mapping(users, kind="visitor", fields=fields)
        plan = ps.plan_table(users, suggested, client=client, create="unknown_ids", batch_size=8)
        bench = ps.workbench(users, client=client, journal=journal)
        bench.desk.compare()
        sandbox.misbehave("fail_records", times=9)
        run = ps.push(plan, client=client, journal=journal, show=False)
        run.wait()
        rough = ps.Mapping(
            "visitor", suggested.id, [*suggested.traits, ps.Trait("shoe_size", field="shoe_size")]
        )
        shown = dataclasses.replace(plan, target=PLACE)
        yield World(users, rough, fields, shown, bench, dataclasses.replace(run.progress, title=shown.title))


def take(shot: Shot, world: World, blank: Blank, theme: Theme) -> Path:
    """Take one picture, and return where it is."""
    shown = shot.show(world)
    if isinstance(shown, str):
        blank.clear(theme, WIDTH, 100)
        blank.page.evaluate("html => { document.querySelector('main').innerHTML = html; }", shown)
    else:
        shot.click(blank.show(shown, theme=theme, width=WIDTH, height=100))
    path = FOLDER / f"{shot.name}-{theme}.png"
    blank.page.mouse.move(0, 0)
    blank.page.screenshot(path=path, full_page=True)
    return path


def main() -> None:
    """Take all of them."""
    chromium = find_chromium()
    if chromium is None:
        sys.exit("No Chromium on the PATH. Hint: apt-get install chromium")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pendosync-") as folder, open_browser(chromium) as browser:
        with make_world(Path(folder)) as world, open_blank(browser, scale=1.5) as blank:
            for shot in SHOTS:
                for theme in get_args(Theme):
                    path = take(shot, world, blank, theme)
                    print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    main()
