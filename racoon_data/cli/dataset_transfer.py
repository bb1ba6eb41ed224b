"""``racoon dataset export``: a dataset as other tools want it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console, plugins
from racoon_data.errors import ExitCode, SettingsError

if TYPE_CHECKING:
    from racoon_data.ports import Exported, Exporter

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The dataset folder.")],
    to: Annotated[str, typer.Option("--to", help="nnunet, msd, datalist, croissant, dicom-seg or a plug-in's name.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write; a view lies in the dataset without it.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("-o", "--option", metavar="NAME=VALUE", help="Option of the exporter.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and every option.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a dataset for another tool; exits 5 where cases are left out.

    Example: racoon dataset export datasets/lung --to nnunet --out nnUNet_raw/Dataset001_Lung
    """
    from racoon_data.files.manifest import load_manifest

    exporter: Exporter = plugins.load(plugins.EXPORTERS, to)()
    options = _options(to, exporter, option or [])
    if out is None and not exporter.is_view:
        raise SettingsError(f"{to} writes a folder of its own", hint="--out DIR names it")
    target = out or folder
    if dry_run:
        _preview(to, exporter, target, len(load_manifest(folder).cases), as_json)
        return
    with console.progress() as on_event:
        exported = exporter.export(folder, target, options=options, on_event=on_event)
    _show(to, exported, as_json)


def _options(name: str, exporter: Exporter, pairs: list[str]) -> dict[str, str]:
    """Read NAME=VALUE pairs.

    Raises:
        SettingsError: One is no pair, or the exporter does not know it.
    """
    options = {}
    for pair in pairs:
        key, is_pair, value = pair.partition("=")
        if not is_pair or key not in exporter.options:
            known = "; ".join(f"{known}: {what}" for known, what in exporter.options.items()) or "it has none"
            raise SettingsError(f"{name} knows no option {pair!r}", hint=f"NAME=VALUE; {known}")
        options[key] = value
    return options


def _preview(name: str, exporter: Exporter, target: Path, cases: int, as_json: bool) -> None:
    if as_json:
        known = {"options": dict(exporter.options)}
        console.document({"dry_run": True, "exporter": name, "path": str(target), "cases": cases, **known})
        return
    console.result(f"[dry-run] {name} would write {cases} cases to {target}")
    if exporter.options:
        console.table(("option", "what"), list(exporter.options.items()))


def _show(name: str, exported: Exported, as_json: bool) -> None:
    from racoon_data.outcomes import Status, exit_code_of

    left_out = [outcome for outcome in exported.outcomes if outcome.status is not Status.DONE]
    if as_json:
        rows = [outcome.to_json() for outcome in left_out]
        notes = list(exported.notes)
        console.document({"exporter": name, "path": str(exported.path), "notes": notes, "left_out": rows})
    else:
        console.result(str(exported.path))
        for note in exported.notes:
            console.talk(f"note: {note}")
        for outcome in left_out:
            console.talk(f"{outcome.status}: {outcome.ref}: {outcome.message} ({outcome.code})")
    if (code := exit_code_of(exported.outcomes)) is not ExitCode.DONE:
        raise typer.Exit(int(code))
