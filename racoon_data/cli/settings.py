"""``racoon settings``: every value with its origin."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from racoon_data import console

app = typer.Typer()


@app.command()
def settings(
    site: Annotated[
        Path | None, typer.Option("--site", envvar="RACOON_SITE", help="Site folder; default: found from here upwards.")
    ] = None,
    only: Annotated[str, typer.Option("--only", help="Only keys that start so, such as nodes.pacs.")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE to lay over, to see what it would do; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Print every setting with its origin; secrets are never printed. Example: racoon settings --only site.

    RACOON_SITE__WORKERS=4 sets site.workers: table and key in capitals, two underscores between them. A file is
    overruled by the environment, the environment by an option. Exit codes: 0; 3 the settings are wrong.
    """
    from racoon_data.site.paths import find_site, settings_of

    root = site or find_site(Path.cwd()).root
    _, values = settings_of(root, set_ or ())
    chosen = [value for value in values if value.key.startswith(only)]
    if as_json:
        console.document([asdict(value) for value in chosen])
    else:
        console.table(("setting", "value", "origin"), [(one.key, _plain(one.value), one.origin) for one in chosen])


def _plain(value: Any) -> str:
    return "" if value in (None, "") else value if isinstance(value, str) else json.dumps(value)
