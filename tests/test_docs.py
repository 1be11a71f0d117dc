"""What the README says is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SESSIONS = re.findall(r"```python\n(.*?)```", README, re.S)


def run(code: str, folder: Path) -> str:
    """Return what *code* prints."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readmes_session_works_as_it_stands(tmp_path: Path) -> None:
    assert len(SESSIONS[0].splitlines()) <= 14
    printed = run(SESSIONS[0], tmp_path)
    assert "not_in_pendo 1" in printed
    assert '{"visitorId":"u-0001","values":{"plan":"pro","seats":5}}' in printed
    assert "updated" in printed


def test_the_readmes_widgets_do_what_is_said_where_nobody_clicks(tmp_path: Path) -> None:
    (by_eye,) = [session for session in SESSIONS if "edit_mapping" in session]
    given = """fields = ps.fetch_fields(client, kind="visitor")
accounts = pl.DataFrame({"account_id": ["acme"], "plan": ["pro"]})
"""
    printed = run(f"{SESSIONS[0]}\n{given}\n{by_eye}\nprint(run.wait(), bench)", tmp_path)
    assert "Workbench for visitors and accounts" in printed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_the_readmes_commands_are_the_makefiles() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
