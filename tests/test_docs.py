"""What the README says is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readmes_session_works_as_it_stands(tmp_path: Path) -> None:
    session = re.findall(r"```python\n(.*?)```", README, re.S)[0]
    assert len(session.splitlines()) <= 14
    done = subprocess.run(
        [sys.executable, "-c", session],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "not_in_pendo 1" in done.stdout
    assert '{"visitorId":"u-0001","values":{"plan":"pro","seats":5}}' in done.stdout
    assert "updated" in done.stdout


def test_the_readmes_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+?)\)", README)
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (ROOT / link).exists()] == []


def test_the_readmes_commands_are_the_makefiles() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
