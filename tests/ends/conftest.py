"""What tests of the command line stand on: a working folder of its own, a few documents, and a way to run a verb."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.ends.command_line import CommandLine

PAGES = {
    "pumps/intake.md": """\
# Intake pump

## Restart

To restart the intake pump, press the green button for five seconds.
Wait until the pressure gauge of the intake pump shows 4 bar.

## Numbers

The intake pump has a pressure limit of 6 bar.
""",
    "pumps/drain.md": """\
# Drain pump

The drain pump starts by itself when the basin is full.
To stop the drain pump, turn the red valve to the left.
""",
    "crew/rota.txt": """\
Rota

Jonna Vik is on duty for the intake pump.
Pell Osko is on duty for the drain pump.
""",
    "pay/bonus.md": """\
# Bonus

The bonus of the crew for a dry cellar is 310 crowns.
""",
}
RULES = """\
// who may read what
document:pumps/*#reader@group:crew#member
document:crew/*#reader@group:crew#member
document:pay/bonus.md#reader@user:jonna
group:crew#member@user:jonna
group:crew#member@user:pell
"""


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Four documents that every principal may read."""
    folder = tmp_path / "docs"
    for name, text in PAGES.items():
        page = folder / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def ruled(docs: Path) -> Path:
    """The same documents under relations: jonna reads all of them, pell all but the bonus, anybody else none."""
    (docs / "access.rel").write_text(RULES, encoding="utf-8")
    return docs


@pytest.fixture
def standpipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Runs verbs in `tmp_path`."""
    return CommandLine(tmp_path, capsys)
