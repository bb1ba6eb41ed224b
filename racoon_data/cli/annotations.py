"""``racoon annotations``: list and read SEG, RTSTRUCT, structured reports and other tools' exports of a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from racoon_data import console
from racoon_data.cli.annotations_export import export
from racoon_data.errors import NothingMatchedError
from racoon_data.outcomes import exit_code_of
from racoon_data.policies import Fractional, Nesting, OpenContours, ReadingPolicies
from racoon_data.refs import FileRef

if TYPE_CHECKING:
    from racoon_data.annotations.folder import Found, ReadFolder
    from racoon_data.outcomes import Outcome

app = typer.Typer(
    help="List, read and export SEG, RTSTRUCT, structured reports and other tools' exports.", no_args_is_help=True
)

_NOTHING = "no annotation here"
_EXPORTED = "docs/annotations.md lists the formats that are read; a vendor's report needs --mapping FILE"

Mapping = Annotated[Path | None, typer.Option("--mapping", help="Mapping file (TOML) of a vendor's XML, JSON or CSV.")]
Images = Annotated[Path | None, typer.Option("--images", help="Folder of the DICOM images, where it is another one.")]

app.command(name="export")(export)


@app.command(name="list")
def list_(
    folder: Annotated[Path, typer.Argument(help="Folder of annotations and images, or one file.")],
    mapping: Mapping = None,
    images: Images = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Show which annotation lies on which series. Example: racoon annotations list dicom/."""
    found = _find(folder, mapping, images)
    _show_links(found, as_json=as_json)
    _end(bool(found.sorted.annotations), found.outcomes)


@app.command()
def read(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Folder of annotations and images, or one file.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for masks, findings.csv and annotations.json.")],
    mapping: Mapping = None,
    images: Images = None,
    resample: Annotated[
        bool, typer.Option("--resample", help="Sample masks made on another grid instead of refusing them.")
    ] = False,
    nested: Annotated[
        Nesting, typer.Option("--nested-contours", help="A plain contour inside another one: a hole, or joined.")
    ] = Nesting.XOR,
    open_contours: Annotated[
        OpenContours,
        typer.Option("--open-contours", help="Points and open lines of RTSTRUCT: table rows, or masks too."),
    ] = OpenContours.ROWS,
    fill_gaps: Annotated[
        int,
        typer.Option("--fill-gaps", min=0, help="Interpolate up to N slices without a contour between two with one."),
    ] = 0,
    fractional: Annotated[
        Fractional,
        typer.Option("--fractional", help="From where on a fractional value counts: above zero, half, or all."),
    ] = Fractional.HALF,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the links and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Write masks on the image grid and a table of findings. Example: racoon annotations read dicom/ masks/."""
    from racoon_data.annotations.folder import read_found

    found = _find(source, mapping, images)
    if dry_run or not found.sorted.annotations:
        _show_links(found, as_json=as_json)
        _end(bool(found.sorted.annotations), found.outcomes)
        return
    with console.progress() as on_event:
        policies = ReadingPolicies(nested, open_contours, fill_gaps, fractional)
        account = read_found(found, out, resample=resample, policies=policies, on_event=on_event)
    if as_json:
        console.document(account.to_json())
    else:
        _show_account(account)
    _end(True, account.outcomes)


def _find(folder: Path, mapping: Path | None, images: Path | None) -> Found:
    from racoon_data.annotations.folder import find_annotations

    if mapping is None:
        return find_annotations(folder, images=images)
    from racoon_data.annotations.tools.mapping import load_mapping

    return find_annotations(folder, mapping=load_mapping(mapping), images=images)


def _show_links(found: Found, *, as_json: bool) -> None:
    from racoon_data.annotations.folder import listed

    rows = listed(found)
    if as_json:
        console.document({"annotations": rows, "outcomes": [outcome.to_json() for outcome in found.outcomes]})
        return
    columns = ("sop_uid", "kind", "image_modality", "slices", "confidence", "image_series_uid")
    console.table(columns, [[_cell(row[column]) for column in columns] for row in rows])
    _show_outcomes(found.outcomes)


def _show_account(account: ReadFolder) -> None:
    rows = [
        (mask["file"], mask["name"], mask["voxels"], f"{mask['ml']:.2f}")
        for annotation in account.annotations
        for mask in annotation["masks"]
    ]
    console.table(("mask", "segment", "voxels", "ml"), rows)
    console.result(f"findings: {len(account.findings)}")
    for annotation in account.annotations:
        for note in annotation["notes"]:
            console.talk(f"note on {annotation['sop_uid']}: {note}")
        for issue in annotation["issues"]:
            console.talk(f"issue in {annotation['sop_uid']}: {issue['item']}: {issue['message']} ({issue['code']})")
    _show_outcomes(account.outcomes)


def _show_outcomes(outcomes: Iterable[Outcome]) -> None:
    """Name every annotation that goes no further; count files that are none by reason."""
    files: Counter[str] = Counter()
    for outcome in outcomes:
        reason = f"{outcome.message} ({outcome.code})"
        if isinstance(outcome.ref, FileRef):
            files[f"{outcome.status}: {reason}"] += 1
        elif outcome.code:
            console.talk(f"{outcome.status}: {outcome.ref}: {reason}")
    for reason, count in sorted(files.items()):
        console.talk(f"{count} file(s) {reason}")


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)


def _end(has_annotations: bool, outcomes: Iterable[Outcome]) -> None:
    """Exit with 5 where an item failed, with 8 where there was nothing.

    Raises:
        NothingMatchedError: The folder holds no annotation.
    """
    if code := exit_code_of(outcomes):
        raise typer.Exit(int(code))
    if not has_annotations:
        raise NothingMatchedError(_NOTHING, hint=_EXPORTED)
