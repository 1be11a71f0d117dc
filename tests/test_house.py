"""Watchmen: who may import whom, what stands at the door, and what never stands in a file."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import pendosync

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pendosync"
FLOORS = (
    ("beside", "errors", "meter", "turns"),
    ("reports", "workers"),
    ("engines", "regions", "folders", "gates", "pacing", "retries", "transports"),
    ("throttle", "keys", "parts"),
    ("env",),
    ("frames",),
    ("results", "ids", "scans", "buckets", "engines"),
    ("overview", "settings", "shapes", "traits", "kinds"),
    ("mapping", "messages"),
    ("tables", "rules", "spec", "encoding", "digests"),
    ("suggestions", "casts"),
    ("heads",),
    ("id_checks",),
    ("values", "columns", "message_checks", "segment_messages"),
    ("checks", "summaries", "events"),
    ("diffs",),
    ("wire", "comparison", "selections"),
    ("refusals", "loops", "counts", "thinned"),
    ("auth", "records", "parted", "notes"),
    ("plans", "client", "sandbox", "rundb"),
    ("looks", "saved"),
    ("planning", "runfile", "remote", "preview", "browser"),
    ("journal", "recipe", "work", "held"),
    ("rehearsal",),
    ("scattering",),
    ("streaming",),
    ("shortcuts",),
    ("answers", "snapshots", "splitting", "remaining", "refresh", "rejected", "verify", "marks"),
    ("tally", "drift", "audiences", "lookback"),
    ("pusher",),
    ("runs",),
    ("push",),
    ("undo",),
    ("workbench", "cli"),
    ("__init__", "__main__"),
)
"""A room imports only from floors below its own, wherever in the module the import stands."""

RANKS = {room: rank for rank, floor in enumerate(FLOORS) for room in floor}
SANDBOX_IMPORTS = {"errors", "regions"}
"""All that the sandbox takes from us: written from Pendo's reference, it can't share a mistake with the client."""

WALLS = {
    "httpx": {"throttle", "auth", "client", "transports"},
    "sqlite3": {"rundb", "runfile"},
    "filelock": {"marks", "runfile", "work"},
    "dask": {"tables"},
    "anywidget": {"preview"},
    "ipywidgets": {"preview"},
    "traitlets": {"preview"},
    "IPython": {"preview"},
    "asyncio": {
        "transports",
        "throttle",
        "loops",
        "client",
        "lookback",
        "turns",
        "pusher",
        "runs",
        "sandbox",
    },
    "aiohttp": {"transports"},
    "yarl": {"transports"},
    "tornado": {"sandbox"},
    "distributed": {"engines"},
    "dotenv": {"env"},
    "fastexcel": {"tables"},
    "polars": set(RANKS)
    - {
        "beside",
        "errors",
        "meter",
        "turns",
        "engines",
        "workers",
        "regions",
        "gates",
        "pacing",
        "retries",
        "reports",
        "throttle",
        "settings",
        "sandbox",
        "refusals",
        "loops",
        "auth",
        "kinds",
        "keys",
        "env",
        "transports",
    }
    - {"client", "rundb", "runfile"},
}
"""What comes from outside, and the rooms it may be seen in. What is not named here is imported nowhere."""


class Import:
    """One import of a module of ours: `pendosync.sandbox.handle` of the room `sandbox`."""

    def __init__(self, file: Path, target: str, line: int) -> None:
        inner = file.relative_to(PACKAGE)
        self.room = inner.parts[0].removesuffix(".py")
        self.file = inner.as_posix()
        self.target = target
        self.line = line

    def __repr__(self) -> str:
        return f"{self.file}:{self.line} imports {self.target}"


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def imports() -> Iterator[Import]:
    for file in modules():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(file, alias.name, node.lineno)
            elif isinstance(node, ast.ImportFrom):
                yield from (Import(file, target, node.lineno) for target in targets_of(node, file))


def targets_of(node: ast.ImportFrom, file: Path) -> list[str]:
    assert node.level == 0, f"{file.name}:{node.lineno} imports relatively: say pendosync.…"
    if node.module == "pendosync":
        return [f"pendosync.{alias.name}" for alias in node.names]
    return [node.module or ""]


def our_imports() -> Iterator[tuple[Import, str]]:
    """Each import of another room, with that room."""
    for one in imports():
        package, _, rest = one.target.partition(".")
        room = rest.partition(".")[0]
        if package == "pendosync" and room != one.room:
            yield one, room


def test_each_room_has_its_floor() -> None:
    assert {Import(file, "", 0).room for file in modules()} <= set(RANKS)


def test_rooms_import_only_from_floors_below() -> None:
    wrong = [one for one, room in our_imports() if RANKS.get(room, 99) >= RANKS.get(one.room, 0)]
    assert wrong == []


def test_no_modules_of_one_room_import_each_other_in_a_circle() -> None:
    needs: dict[str, set[str]] = {}
    names = {".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts): file for file in modules()}
    each = list(imports())
    for name, file in names.items():
        targets = {one.target for one in each if one.file == file.relative_to(PACKAGE).as_posix()}
        needs[name] = {target for target in targets if target in names and target != name}
    while done := [name for name, needed in needs.items() if not needed & needs.keys()]:
        for name in done:
            del needs[name]
    assert needs == {}


def test_the_sandbox_stands_apart() -> None:
    from_sandbox = [(one, room) for one, room in our_imports() if one.room == "sandbox"]
    wrong = [
        one
        for one, room in from_sandbox
        if room not in SANDBOX_IMPORTS and (one.file, room) != ("sandbox/handle.py", "settings")
    ]
    assert wrong == []


def test_only_the_door_and_the_command_line_know_the_sandbox() -> None:
    assert [
        one for one, room in our_imports() if room == "sandbox" and one.room not in ("cli", "__init__")
    ] == []


def test_a_widget_cannot_write() -> None:
    rooms = {room for one, room in our_imports() if one.room == "preview"}
    assert (
        rooms & {"client", "journal", "push", "undo", "throttle", "sandbox", "shortcuts", "workbench"}
        == set()
    )


def test_what_comes_from_outside_stays_in_its_rooms() -> None:
    for one in imports():
        outside = one.target.partition(".")[0]
        if outside in WALLS:
            assert one.room in WALLS[outside], one
        else:
            assert outside == "pendosync" or outside in sys.stdlib_module_names, one


def test_the_door_shows_what_it_says() -> None:
    assert sorted(pendosync.__all__) == pendosync.__all__
    assert {name for name in dir(pendosync) if not name.startswith("_") and name not in rooms()} == {
        name for name in pendosync.__all__ if name not in rooms()
    }
    assert [name for name in pendosync.__all__ if is_room(getattr(pendosync, name))] == []


def test_types_know_the_door_as_it_is() -> None:
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    typed = {
        alias.name: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    (listed,) = [ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign)]
    assert typed == {name: f"pendosync.{room}" for name, room in pendosync._ROOM_OF.items()}
    assert listed == pendosync.__all__


def test_the_door_keeps_to_the_floors() -> None:
    assert {room for room in pendosync._ROOM_OF.values() if RANKS[room] >= RANKS["__init__"]} == set()


def rooms() -> set[str]:
    return {path.stem for path in PACKAGE.iterdir()}


def is_room(thing: object) -> bool:
    return isinstance(thing, types.ModuleType) and thing.__name__.startswith("pendosync.")


def test_what_stands_at_the_door_says_what_it_is() -> None:
    things = {name: getattr(pendosync, name) for name in getattr(pendosync, "__all__", [])}
    callables = {name: thing for name, thing in things.items() if callable(thing)}
    assert [name for name, thing in callables.items() if not (thing.__doc__ or "").strip()] == []


def test_the_documents_name_each_public_name() -> None:
    texts = [
        path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))
    ]
    words = set(re.findall(r"\w+", "\n".join(texts)))
    assert [name for name in getattr(pendosync, "__all__", []) if name not in words] == []


def test_the_package_needs_no_numpy_pandas_or_pyarrow() -> None:
    code = (
        "import sys\n"
        "for name in ('numpy', 'pandas', 'pyarrow', 'duckdb', 'fastexcel', 'dask', 'distributed'): sys.modules[name] = None\n"
        "import pendosync\n"
        "for name in getattr(pendosync, '__all__', []): getattr(pendosync, name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# What never stands in a file

SUFFIXES = {
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".ipynb",
    ".js",
    ".css",
    ".html",
    ".sh",
    ".yml",
    ".json",
    ".example",
    "",
}
PASSED_OVER = {".git", "build", "dist", "__pycache__", ".pendosync", ".hypothesis", ".ipynb_checkpoints"}


def our_files() -> list[Path]:
    def is_ours(path: Path) -> bool:
        parts = path.relative_to(ROOT).parts
        folders = [
            part for part in parts[:-1] if part in PASSED_OVER or part.startswith(".venv") or "_cache" in part
        ]
        return path.is_file() and not folders and path.suffix in SUFFIXES and path.name != ".env"

    return sorted(path for path in ROOT.rglob("*") if is_ours(path))


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("a path of one machine", "(?<![\\w.~])/(" + "home|root|Users|work|tmp" + ")/\\w"),
        ("a note to oneself", "\\b(TO" + "DO|FIX" + "ME)\\b"),
        ("a package index", "py" + "pi\\.org|python" + "hosted\\.org"),
        ("a conflict mark", "^(<{7}|>{7}) "),
    ],
)
def test_no_file_holds(what: str, pattern: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in our_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(pattern, line)
    ]
    assert wrong == [], what


def test_no_notebook_holds_outputs() -> None:
    for path in ROOT.glob("notebooks/**/*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert [cell["outputs"] for cell in cells if cell.get("outputs")] == [], path.name
