"""What a user of the package meets first: the names it offers, how little a bare import loads, and what the wheel holds."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import standpipe

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("apsw", "cyclopts", "jsonschema_rs", "markdown_it", "rich", "snowballstemmer")


def test_public_names_are_sorted_and_each_is_there() -> None:
    assert standpipe.__all__
    assert list(standpipe.__all__) == sorted(set(standpipe.__all__))
    for name in standpipe.__all__:
        getattr(standpipe, name)
        assert name in dir(standpipe)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(standpipe, "no_such_name")


def test_a_bare_import_loads_nothing_heavy() -> None:
    probe = f"import sys, standpipe; print([name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)

    assert run.stdout.strip() == "[]"


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("standpipe/")}

    files = (path for path in (ROOT / "src" / "standpipe").rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert packed == {path.relative_to(ROOT / "src").as_posix() for path in files}
    assert "standpipe/py.typed" in packed
