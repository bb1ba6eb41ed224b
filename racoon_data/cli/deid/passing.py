"""``racoon deid run``, ``explain`` and ``key``: take files through the one door."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.cli.deid.options import JsonOption, ProfileOption, SiteOption, site_if_needed
from racoon_data.errors import ExitCode, NothingMatchedError

if TYPE_CHECKING:
    from racoon_data.deid.door import DeidentifiedInstance, Door
    from racoon_data.runner.run import Result


def run(
    source: Annotated[Path, typer.Argument(metavar="IN", help="File or folder of identified DICOM files.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for de-identified files.")],
    key_file: Annotated[Path | None, typer.Option("--key-file", help="Secret key; else the site's vault.")] = None,
    profile: ProfileOption = None,
    quarantine: Annotated[Path | None, typer.Option("--quarantine", help="Folder for what may not pass.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Local worker processes.")] = 1,
    site: SiteOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Clean and check in memory, write nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """De-identify files; what may not pass waits in quarantine. Example: racoon deid run incoming out --key-file k."""
    from racoon_data.deid.door import deidentify_files, rehearse_files
    from racoon_data.dicom.sorting import files_under

    door = _door(out, key_file=key_file, profile=profile, quarantine=quarantine, site=site)
    paths = files_under(source, without=[path for path in (out, door.quarantine) if path])
    if not paths:
        raise NothingMatchedError("there are no files to de-identify", hint="name an existing file or folder")
    with console.progress() as on_event:
        act = rehearse_files if dry_run else deidentify_files
        results = act(paths, door, workers=workers, on_event=on_event)
    _show(results, as_json=as_json, is_rehearsal=dry_run)
    codes = {result.outcome.code for result in results if result.value is None}
    if codes and codes == {"dicom.not_dicom"} and len(results) == sum(result.value is None for result in results):
        raise NothingMatchedError("none of the files is DICOM", hint="name the folder that the PACS exported")
    if "deid.pseudonym_service" in codes:
        raise typer.Exit(int(ExitCode.PEER))
    if codes - {"dicom.not_dicom"}:
        raise typer.Exit(int(ExitCode.PARTIAL))


def explain(
    file: Annotated[Path, typer.Argument(help="A DICOM file.")],
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what happens to each attribute and why, without values. Example: racoon deid explain image.dcm."""
    from dataclasses import asdict

    from racoon_data.deid.explain import explain as explain_file
    from racoon_data.deid.profile import load_profile

    told = explain_file(file, load_profile(profile))
    if as_json:
        console.document([asdict(one) for one in told])
    else:
        console.table(("attribute", "action", "reason"), [(one.where, one.action, one.reason) for one in told])


def key(
    vault: Annotated[Path, typer.Argument(help="Folder for the key; made if absent.")], as_json: JsonOption = False
) -> None:
    """Make the secret key of a project, never shown. Example: racoon deid key vault."""
    from racoon_data.deid.vault import KEY_NAME, create_key

    create_key(vault)
    if as_json:
        console.document({"key": str(vault / KEY_NAME)})
    else:
        console.result(str(vault / KEY_NAME))


def _door(
    out: Path, *, key_file: Path | None, profile: Path | None, quarantine: Path | None, site: Path | None
) -> Door:
    from racoon_data.deid.door import Door
    from racoon_data.deid.logs import log_of
    from racoon_data.deid.naming import service_of
    from racoon_data.deid.profile import load_profile
    from racoon_data.deid.pseudonyms import Given, Pseudonymizer
    from racoon_data.deid.vault import load_key, read_key_file

    home = site_if_needed(site, is_needed=key_file is None)
    secret = read_key_file(key_file) if key_file is not None else load_key(home.vault if home else out)
    service = service_of(home) if home else None
    names = Pseudonymizer(secret, Given(service.source) if service else None)
    aside = quarantine or (home.quarantine if home else out.with_name(out.name + "-quarantine"))
    log, vault = (log_of(home), home.vault) if home else (None, None)
    options = load_profile(profile or (home.profile if home else None))
    return Door(out, aside, options, names, log, vault, service=service)


def _show(results: tuple[Result[DeidentifiedInstance], ...], *, as_json: bool, is_rehearsal: bool) -> None:
    from racoon_data.outcomes import tally

    counts = tally(result.outcome for result in results)
    if as_json:
        objects = [
            {
                **r.outcome.to_json(),
                "path": str(r.value.path) if r.value else "",
                "text_recognition": str(r.value.look) if r.value else "",
            }
            for r in results
        ]
        totals = {"done": counts.done, "skipped": counts.skipped, "failed": counts.failed}
        console.document({"is_dry_run": is_rehearsal, "counts": totals, "exempt": _exempt(results), "objects": objects})
        return
    aside = [result.outcome for result in results if result.value is None]
    if aside:
        console.table(("object", "code", "why"), [(one.ref, one.code, one.message) for one in aside])
    unread = sum(result.value.look == "not installed" for result in results if result.value is not None)
    if unread:
        console.talk(f"{unread} pictures passed by a rule without a second look: tesseract is not installed")
    if exempt := _exempt(results):
        console.talk(f"{exempt} identifiers are short or common words: the self-check took them as whole values only")
    verb = "would pass" if is_rehearsal else "passed"
    console.result(
        f"{counts.done} of {counts.total} objects {verb}, {counts.skipped} set aside, {counts.failed} failed"
    )


def _exempt(results: tuple[Result[DeidentifiedInstance], ...]) -> int:
    """Count the identifiers, a patient at a time, that the self-check does not look for within other text."""
    most: dict[str, int] = {}
    for value in (one.value for one in results if one.value is not None):
        most[value.patient] = max(value.exempt, most.get(value.patient, 0))
    return sum(most.values())
