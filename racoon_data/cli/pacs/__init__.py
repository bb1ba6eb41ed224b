"""``racoon pacs``: query, retrieve from, push to and serve a PACS."""

from __future__ import annotations

import typer

from racoon_data.cli.pacs import doctoring, planning, pulling, pushing, query, receiving, serving

app = typer.Typer(
    help="Find, plan, pull, receive and push at a PACS; examine or serve one. Example: racoon pacs doctor pacs",
    no_args_is_help=True,
)
COMMANDS = (
    query.echo,
    doctoring.doctor,
    query.find,
    planning.plan,
    pulling.pull,
    pushing.push,
    receiving.receive,
    serving.serve,
)
for command in COMMANDS:
    app.command()(command)
