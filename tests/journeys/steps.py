"""Steps that journeys share: a fresh site, a study file, the command line."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from racoon_data.cli.main import app


@dataclass(frozen=True)
class Said:
    """What a command printed and how it ended."""

    exit_code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)


def racoon(*arguments: object) -> Said:
    """Run the command line in this process, as a shell would."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app([str(argument) for argument in arguments], prog_name="racoon")
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


def a_site(root: Path, *, port: int, ae_title: str = "PACS") -> Path:
    """Create a site whose node ``pacs`` is the given port on this machine."""
    said = racoon("init", root, "--name", "site-a", "--port", port, "--ae-title", ae_title)
    assert said.exit_code == 0, said.err
    return root


def a_study(folder: Path, text: str) -> Path:
    """Write a study file."""
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path
