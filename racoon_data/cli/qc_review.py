"""``racoon qc review``: what people said of cases, listed or added without a browser."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.errors import SettingsError

if TYPE_CHECKING:
    from racoon_data.site.paths import Site
    from racoon_data.site.reviews import Review


def review(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset of the site.")],
    case: Annotated[str, typer.Argument(help="The case; without it the reviews are listed.")] = "",
    verdict: Annotated[str, typer.Option(help="accepted, rejected or open.")] = "",
    comment: Annotated[str, typer.Option(help="Why; no names of patients.")] = "",
    reviewer: Annotated[str, typer.Option(help="Name that the review bears; default: your account.")] = "",
    site: Annotated[
        Path | None, typer.Option(envvar="RACOON_SITE", help="Site folder; default: found upwards.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be kept.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """List what people said of cases, or add a review: the next build leaves rejected cases out.

    Example: racoon qc review lung site-a_P1_0a1b2c3d --verdict open --comment "outline mended".
    """
    from racoon_data.site.paths import find_site, open_site
    from racoon_data.site.reviews import add_review, latest_reviews

    here = open_site(site) if site else find_site(Path.cwd())
    if not case:
        if verdict or comment:
            raise SettingsError("a review needs its case", hint="name the case after the dataset")
        _list(list(latest_reviews(here.ledger, dataset).values()), as_json)
        return
    said = _review(here, dataset, case, verdict, comment, reviewer)
    if not dry_run:
        add_review(here.ledger, said)
    if as_json:
        console.document({**said.to_json(), "dry_run": dry_run})
    else:
        console.result(f"{'[dry-run] ' if dry_run else ''}{case} is {said.verdict}; the next build goes by it")


def _review(site: Site, dataset: str, case: str, verdict: str, comment: str, reviewer: str) -> Review:
    """Make a review of a case that was built or reviewed before.

    Raises:
        SettingsError: The verdict is none, or nobody ever saw such a case.
    """
    from racoon_data.files.manifest import MANIFEST_NAME, load_manifest
    from racoon_data.site.audit import account
    from racoon_data.site.reviews import LONGEST_COMMENT, Review, ReviewVerdict, latest_reviews

    if verdict not in list(ReviewVerdict) or len(comment) > LONGEST_COMMENT:
        hint = f"accepted, rejected or open; at most {LONGEST_COMMENT} characters"
        raise SettingsError(f"{verdict!r} is no verdict, or the comment is too long", hint=hint)
    root = site.datasets / dataset
    records = load_manifest(root).cases if (root / MANIFEST_NAME).is_file() else ()
    seen = {record.case_id: record.sha256.get(record.sidecar, "") for record in records}
    if case not in seen and case not in latest_reviews(site.ledger, dataset):
        raise SettingsError(f"{dataset} has no case {case!r}", hint=f"racoon dataset show {root} lists them")
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Review(dataset, case, ReviewVerdict(verdict), comment, reviewer or account(), at, seen.get(case, ""))


def _list(reviews: list[Review], as_json: bool) -> None:
    if as_json:
        console.document([review.to_json() for review in reviews])
    else:
        rows = [(one.case_id, one.verdict, one.reviewer, one.at, one.comment) for one in reviews]
        console.table(("case", "verdict", "reviewer", "when (UTC)", "comment"), rows, title=f"{len(rows)} reviews")
