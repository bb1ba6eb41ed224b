"""``racoon deid lookup``, ``restore`` and ``forget``: what needs the vault."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.cli.deid.options import DryOption, JsonOption, SiteOption, names_of, site_at
from racoon_data.errors import ExitCode, NothingMatchedError, RestoreError, SettingsError
from racoon_data.outcomes import exit_code_of

if TYPE_CHECKING:
    from racoon_data.deid.forget import Forgetting
    from racoon_data.deid.pseudonyms import Pseudonymizer
    from racoon_data.deid.register import Register


def lookup(
    pseudonyms: Annotated[list[str], typer.Argument(help="Pseudonyms of patients (P...) or UIDs (2.25....).")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit log; without patient values.")],
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what a pseudonym stands for; the audit log notes it. Example: racoon deid lookup PABC --reason recall."""
    from racoon_data.deid.logs import log_of
    from racoon_data.deid.register import Register

    home = site_at(site)
    names, log = names_of(home), log_of(home)
    rows = []
    with Register(home.vault, names.key) as register:
        for one in pseudonyms:
            log.append("lookup", pseudonym=one, reason=reason)
            found = register.found(one)
            if found is None:
                raise NothingMatchedError(
                    f"the re-identification table does not know {one}",
                    hint="it knows what passed the door of this site",
                )
            rows.append((one, found))
    if as_json:
        console.document([{"pseudonym": one, **found} for one, found in rows])
    else:
        table = [(one, keyword, value) for one, found in rows for keyword, value in found.items() if value]
        console.table(("pseudonym", "attribute", "original"), table)


def restore(
    source: Annotated[Path, typer.Argument(metavar="IN", help="File or folder of results: SEG, SR, RTSTRUCT.")],
    to: Annotated[str, typer.Option("--to", help="Node they are meant for; racoon.toml must approve it.")],
    site: SiteOption = None,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give results their patient again, for an approved node. Example: racoon deid restore results --to pacs."""
    from racoon_data.deid.logs import log_of
    from racoon_data.deid.register import Register
    from racoon_data.deid.restore import WayBack, restore_files
    from racoon_data.dicom.sorting import files_under

    home = site_at(site)
    if to not in home.settings.deid.results_to:
        raise RestoreError(
            f"node {to!r} is not approved for identified results", hint=f'racoon.toml: [deid] results_to = ["{to}"]'
        )
    names, paths = names_of(home), files_under(source)
    if not paths:
        raise NothingMatchedError("there is nothing to restore", hint="name a file or folder of SEG, SR or RTSTRUCT")
    with Register(home.vault, names.key) as register:
        way = WayBack(home.outgoing / to, to, register, names, log_of(home))
        results = restore_files(paths, way, is_rehearsal=dry_run)
    rows = [
        {"file": path.name, **one.outcome.to_json(), "path": str(one.value.path) if one.value else ""}
        for path, one in zip(paths, results, strict=True)
    ]
    if as_json:
        console.document(rows)
    else:
        console.table(("file", "status", "why"), [(row["file"], row["status"], row["message"]) for row in rows])
        if not dry_run and any(row["path"] for row in rows):
            console.talk(f"send them with: racoon pacs push {to} {way.out}")
    raise typer.Exit(int(exit_code_of([one.outcome for one in results])))


def verify(
    folder: Annotated[Path, typer.Argument(help="Folder of any files: work, a dataset, an export.", exists=True)],
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search a folder for the identifiers the vault knows. Example: racoon deid verify datasets/lung."""
    from racoon_data.deid.logs import log_of
    from racoon_data.deid.register import Register
    from racoon_data.deid.verify import known_from, verify_files
    from racoon_data.dicom.sorting import files_under
    from racoon_data.outcomes import Status

    home = site_at(site)
    names, paths = names_of(home), files_under(folder)
    if not paths:
        raise NothingMatchedError("there are no files to verify", hint="name an existing file or folder")
    with Register(home.vault, names.key) as register, console.progress() as on_event:
        known = known_from(register.everyone())
        results = verify_files(paths, known, on_event=on_event)
    bad = [
        (path, one.outcome) for path, one in zip(paths, results, strict=True) if one.outcome.status is not Status.DONE
    ]
    log_of(home).append("verify", files=len(paths), suspicious=len(bad))
    if as_json:
        rows = [{"path": str(path), "code": end.code, "message": end.message} for path, end in bad]
        document = {"files": len(paths), "patients": len(known.by_patient), "exempt": known.exempt, "suspicious": rows}
        console.document(document)
    else:
        console.table(("file", "code", "why"), [(path, end.code, end.message) for path, end in bad])
        console.result(f"{len(paths)} files searched for {len(known.by_patient)} patients, {len(bad)} suspicious")
        console.talk(f"{known.exempt} identifiers are short or common words and counted as whole values only")
    if bad:
        raise typer.Exit(int(ExitCode.POLICY))


def forget(
    patient: Annotated[str, typer.Argument(help="PatientID, or the pseudonym (P...).")],
    site: SiteOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove a patient whose consent was withdrawn, for good. Example: racoon deid forget PABCDEFGHIJKL --dry-run."""
    from racoon_data.deid.forget import forget as remove
    from racoon_data.deid.forget import what_to_forget
    from racoon_data.deid.logs import log_of
    from racoon_data.deid.register import Register
    from racoon_data.site.lock import site_lock

    home = site_at(site)
    names = names_of(home)
    with site_lock(home.root), Register(home.vault, names.key) as register:
        found = what_to_forget(home, _pseudonym(patient, names, register), names, register)
        if not dry_run:
            if not (yes or typer.confirm(f"Remove {len(found.files)} files and folders for good?", err=True)):
                raise SettingsError("nothing was removed", hint="answer yes, or give --yes")
            remove(home, found, register=register, audit=log_of(home))
    _tell(found, is_rehearsal=dry_run, as_json=as_json)


def _pseudonym(patient: str, names: Pseudonymizer, register: Register) -> str:
    """Give the pseudonym of a patient named by it or by the PatientID, also where it is forgotten already."""
    if register.person(patient) is not None or patient in register.forgotten():
        return patient
    keyed = names.keyed(patient)
    given = register.given(names.given.source, keyed) if names.given is not None else None
    is_pseudonym = len(patient) == len(keyed) and patient.startswith("P") and patient.isupper()
    return given or (patient if is_pseudonym else keyed)


def _tell(found: Forgetting, *, is_rehearsal: bool, as_json: bool) -> None:
    counts = {"files": len(found.files), "studies": len(found.studies)}
    named = {"datasets": list(found.datasets), "models": list(found.models)}
    unread = [path.stem for path in found.unread]
    if as_json:
        document = {"patient": found.patient, "is_dry_run": is_rehearsal, **counts, **named, "unread": unread}
        console.document(document)
        return
    verb = "would be removed" if is_rehearsal else "were removed"
    console.result(f"{found.patient}: {len(found.files)} files and folders of {len(found.studies)} studies {verb}")
    for kind, members in named.items():
        console.result(f"{kind} with this patient: {', '.join(members) or 'none'}")
    if found.datasets:
        console.talk("build these datasets again: the next version is without the patient; models cannot forget")
    if unread:
        console.talk(f"{len(unread)} files in quarantine name nobody that can be read; look at them")
