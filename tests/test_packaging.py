"""What a user installs is what is declared: bounds, pins, settings, files."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pendosync.settings import Settings

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
RUNTIME = [Requirement(text) for text in PROJECT["dependencies"]]
ALL = RUNTIME + [Requirement(text) for texts in EXTRAS.values() for text in texts]
ENV_EXAMPLE = ROOT / ".env.example"


def pins_of(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    wrong = [line for line in lines if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==[0-9][\w.]*", line)]
    assert wrong == [], f"{name} holds more than names and versions"
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def lower_bound(requirement: Requirement) -> str:
    (bound,) = [spec.version for spec in requirement.specifier if spec.operator == ">="]
    return bound


@pytest.mark.parametrize("requirement", ALL, ids=str)
def test_each_dependency_is_pinned_within_its_bounds(requirement: Requirement) -> None:
    assert requirement.specifier.contains(pins_of("constraints.txt")[canonicalize_name(requirement.name)])


def test_what_comes_along_is_pinned_too() -> None:
    """Walks what is installed: each distribution that pendosync brings stands in constraints.txt."""
    if metadata.version("polars") != pins_of("constraints.txt")["polars"]:
        pytest.skip("other versions than the pinned ones are installed here")
    seen: set[str] = set()
    ahead = [requirement.name for requirement in ALL]
    while ahead:
        name = canonicalize_name(ahead.pop())
        if name in seen:
            continue
        try:
            texts = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        seen.add(name)
        requirements = [Requirement(text) for text in texts]
        ahead += [
            one.name for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})
        ]
    assert seen - pins_of("constraints.txt").keys() == set()


def test_the_lowest_versions_are_the_lower_bounds() -> None:
    tools = [Requirement(text) for text in EXTRAS["test"] if re.match(r"pytest|hypothesis|distributed", text)]
    everywhere = [one for one in RUNTIME if one.marker is None]
    expected = {canonicalize_name(one.name): lower_bound(one) for one in everywhere + tools}
    assert pins_of("requirements-lowest.txt") == expected


@pytest.mark.parametrize("extra", ["excel", "fast", "cluster"])
def test_an_extra_brings_what_its_test_uses(extra: str) -> None:
    assert set(EXTRAS[extra]) <= set(EXTRAS["test"])


def test_no_file_of_the_package_is_ignored_by_git() -> None:
    """Hatchling leaves out of the wheel what git ignores."""
    files = [
        path for path in (ROOT / "pendosync").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    assert ROOT / "pendosync" / "py.typed" in files
    names = "\n".join(str(path.relative_to(ROOT)) for path in files)
    try:
        done = subprocess.run(
            ["git", "check-ignore", "--no-index", "--stdin"],
            input=names,
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("git is not installed")
    if done.returncode == 128:
        pytest.skip("not a git working tree")
    assert done.stdout == ""


def variables_read() -> set[str]:
    rooms = [ROOT / "pendosync" / f"{room}.py" for room in ("settings", "env", "keys")]
    code = "\n".join(room.read_text(encoding="utf-8") for room in rooms)
    prefixes = set(re.findall(r'pace_of\(values, "(\w+)"', code))
    suffixes = set(re.findall(r"\{prefix\}(_[A-Z_]+)", code))
    plain = set(re.findall(r'"(PENDO_[A-Z_]+)"', code)) - prefixes
    return plain | {prefix + suffix for prefix in prefixes for suffix in suffixes}


def test_env_example_names_each_variable_that_is_read() -> None:
    named = set(re.findall(r"^# (PENDO_\w+)=", ENV_EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))
    assert named == variables_read()


def test_env_example_loads_as_it_is_and_says_the_defaults(tmp_path: Path) -> None:
    assert Settings.from_env(ENV_EXAMPLE) == Settings()
    taken = tmp_path / "taken.env"
    taken.write_text(
        re.sub(r"^# (PENDO_\w+=.+)", r"\1", ENV_EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    assert Settings.from_env(taken) == Settings()
    assert Settings.from_env(taken).target.api_pace == Settings().api_pace
