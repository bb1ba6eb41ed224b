"""``racoon deid``: the one door, the quarantine, the vault and the one way back."""

from __future__ import annotations

import typer

from racoon_data.cli.deid import passing, quarantine, vault

app = typer.Typer(
    help="De-identify through the one door; quarantine, vault and the way back. Example: racoon deid run incoming out",
    no_args_is_help=True,
)
for command in (passing.run, passing.explain, passing.key, vault.verify, vault.lookup, vault.restore, vault.forget):
    app.command()(command)
app.add_typer(quarantine.app, name="quarantine")
