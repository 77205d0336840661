"""Runs the command line: in this process where that is enough, in one of its own where signals, pipes or terminals matter."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from standpipe.entrypoints.cli import run

STANDPIPE = (sys.executable, "-c", "from standpipe.entrypoints.cli import main; main()")
"""What the installed script does."""


class Ran(NamedTuple):
    """What came of a verb."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout; nothing is on stderr."""
        assert not self.err
        return json.loads(self.out)

    @property
    def trouble(self) -> str:
        """The one sentence on stderr."""
        assert self.err.count("\n") == 1 and self.err.endswith(".\n"), self.err
        assert "Traceback" not in self.err
        return self.err.rstrip("\n")


class CommandLine:
    """Runs verbs of the command line in one folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *tokens: str | Path) -> Ran:
        """Run a verb in this process."""
        self._capsys.readouterr()
        with contextlib.chdir(self.folder):
            status = run([str(token) for token in tokens])
        captured = self._capsys.readouterr()
        assert "\x1b" not in captured.out + captured.err
        return Ran(status, captured.out, captured.err)

    def start(self, *tokens: str | Path, **environment: str) -> subprocess.Popen[str]:
        """Run a verb in a process of its own, its streams in pipes."""
        return subprocess.Popen(
            [*STANDPIPE, *map(str, tokens)],
            cwd=self.folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
