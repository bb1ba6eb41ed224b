"""The end of a dataset: QC findings, manifest, further views and the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from racoon_data import plugins
from racoon_data.dataset.manifest import Manifest, ManifestFacts, write_manifest
from racoon_data.events import ignore
from racoon_data.files.manifest import SplitMemory
from racoon_data.pipeline.account import Account
from racoon_data.pipeline.build import Built
from racoon_data.pipeline.plan import Plan
from racoon_data.qc.report import write_report


def finish_dataset(
    plan: Plan, root: Path, *, built: Sequence[Built], account: Account, splits: SplitMemory
) -> Manifest:
    """Write everything of a dataset that is not a case.

    Args:
        plan: What was asked for.
        root: Dataset folder with its cases written.
        built: The cases.
        account: What became of everything that came in.
        splits: Where patients stand.

    Returns:
        The dataset's manifest.
    """
    facts = ManifestFacts(
        name=plan.name,
        site=plan.site.settings.site.name,
        recipe=plan.recipe.to_json(),
        recipe_sha256=plan.recipe.sha256,
        schema=plan.schema,
        channels=tuple(channel.name for channel in plan.rule.channels),
        annotated_labels=plan.annotated,
        cases_in=account.stages[-1].counts.total,
        splits=splits,
    )
    manifest = write_manifest(root, facts, [one.record for one in built], account.outcomes)
    write_views(root, workers=plan.site.settings.site.workers)
    return manifest


def write_views(root: Path, *, workers: int) -> None:
    """Write what is made of a dataset's manifest: the views of every exporter, findings and report."""
    for name in plugins.found(plugins.EXPORTERS):
        exporter = plugins.load(plugins.EXPORTERS, name)()
        if exporter.is_view:
            exporter.export(root, root, options={}, on_event=ignore)
    write_report([root], workers=workers)
