"""Write a picture of each widget, light and dark, into build/shots/: `make shots`.

What they show is made of the tables in notebooks/data and the embedded Pendo, on a blank page with JupyterLab's theme.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
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
from pendosync.frames import OUTCOMES, Progress
from pendosync.preview.deeds import Deeds
from pendosync.preview.run_controls import RunControls
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
    moves: list[Progress]
    outcomes: pl.DataFrame


@dataclass(frozen=True)
class Shot:
    """One picture: how its widget is shown, and what is clicked before it is taken."""

    name: str
    show: Callable[[World, Show], Locator]
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


def run_under_way(world: World, show: Show) -> Locator:
    """Show the run as it was in the middle."""
    controls = RunControls(world.moves[0], DEEDS)
    middle = world.moves[: len(world.moves) // 2]
    for progress in middle:
        controls.show(progress)
    return show.over(controls, run_html(middle[-1], controls.mark))


def run_over(world: World, show: Show) -> Locator:
    """Show the run at its end, with its rejected rows."""
    controls = RunControls(world.moves[0], dataclasses.replace(DEEDS, outcomes=lambda: world.outcomes))
    for progress in world.moves:
        controls.show(progress)
    return show.over(controls, run_html(world.moves[-1], controls.mark))


def list_the_rejected(root: Locator) -> None:
    """Have the rejected rows shown."""
    root.get_by_role("button", name="rejected").click()
    root.get_by_role("table").first.wait_for()


SHOTS = (
    Shot(
        "edit_mapping",
        lambda world, show: show(ps.edit_mapping(world.users, world.mapping, fields=world.fields)),
    ),
    Shot("preview_plan", lambda world, show: show(ps.preview_plan(world.plan)), look_into_a_row),
    Shot("run", run_under_way),
    Shot("run_over", run_over, list_the_rejected),
    Shot("run_picture", lambda world, show: show.html(run_html(world.moves[-1]))),
    Shot("workbench", lambda world, show: show(world.bench), begin_a_push),
)
"""A line per widget."""

DEEDS = Deeds(lambda: None, lambda: None, lambda: None, OUTCOMES.to_frame, is_here=True)


@dataclass(frozen=True)
class Show:
    """A page to show a widget in."""

    blank: Blank
    theme: Theme

    def __call__(self, view: View) -> Locator:
        """Show a widget."""
        return self.blank.show(view, theme=self.theme, width=WIDTH, height=100)

    def over(self, view: View, html: str) -> Locator:
        """Show a widget that lies over its picture."""
        return self.blank.show_over(view, html, theme=self.theme, width=WIDTH, height=100)

    def html(self, html: str) -> Locator:
        """Show what needs no widget."""
        self.blank.clear(self.theme, WIDTH, 100)
        self.blank.picture(html)
        return self.blank.page.locator("main")


PLACE = ps.Target("eu", "https://app.eu.pendo.io", "https://data.eu.pendo.io")
"""What the pictures name: the embedded Pendo's port is another each time."""


@contextmanager
def make_world(folder: Path) -> Iterator[World]:
    """Plan what the sample table would change in the embedded Pendo, and push a part of it that partly fails."""
    pace = ps.Pace(max_per_second=12, max_at_once=4)
    with ps.open_sandbox(api_pace=pace) as sandbox, ps.open_client(sandbox.settings) as client:
        journal = ps.open_journal(folder)
        users = ps.load_table(ROOT / "notebooks" / "data" / "users.csv").lazy().collect()
        fields = ps.fetch_fields(client, kind="visitor")
        suggested = ps.suggest_mapping(users, kind="visitor", fields=fields)
        plan = ps.plan_table(users, suggested, client=client, create="unknown_ids", batch_size=8)
        bench = ps.workbench(users, client=client, journal=journal)
        bench.desk.compare()
        rough = ps.Mapping(
            "visitor", suggested.id, [*suggested.traits, ps.Trait("shoe_size", field="shoe_size")]
        )
        shown = dataclasses.replace(plan, target=PLACE)
        run, moves = push_slowly(sandbox, client, journal)
        yield World(users, rough, fields, shown, bench, moves, run.outcomes)


def push_slowly(sandbox: ps.Sandbox, client: ps.Client, journal: ps.Journal) -> tuple[ps.Run, list[Progress]]:
    """Push the plan of each visitor that the embedded Pendo knows, and note how the run moves; some records fail."""
    users = pl.DataFrame({"user_id": [f"u-{n:04}" for n in range(1, 202)], "plan": ["enterprise"] * 201})
    mapping = ps.Mapping("visitor", "user_id", ["plan"])
    plan = ps.plan_table(users, mapping, client=client, batch_size=2).lift(recheck=0)
    sandbox.misbehave("fail_records", times=9)
    run, moves = ps.push(plan, client=client, journal=journal, show=False), []
    title = dataclasses.replace(plan, target=PLACE).title
    while not run.progress.is_over:
        moves.append(dataclasses.replace(run.progress, title=title))
        time.sleep(0.05)
    return run, [*moves, dataclasses.replace(run.progress, title=title)]


def take(shot: Shot, world: World, blank: Blank, theme: Theme) -> Path:
    """Take one picture, and return where it is."""
    shot.click(shot.show(world, Show(blank, theme)))
    path = FOLDER / f"{shot.name}-{theme}.png"
    blank.page.mouse.move(0, 0)
    blank.page.wait_for_timeout(300)
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
