"""A study file and a site become one plan: everything the walk needs, parsed and checked before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from racoon_data.annotations.tools.mapping import ReportMapping, load_mapping
from racoon_data.cases import CaseRule, ChannelRule
from racoon_data.dataset.writer import check_label_values
from racoon_data.errors import SettingsError
from racoon_data.harmonize.case_rules import check_rule
from racoon_data.harmonize.label_mapping import MapRules, check_rules, load_schema
from racoon_data.harmonize.recipe import Recipe, load_recipe, recipe_from
from racoon_data.labels import LabelSchema
from racoon_data.pacs.peer import Node
from racoon_data.pacs.profile import known_node
from racoon_data.refs import Query
from racoon_data.settings import ExportSettings, StudySettings
from racoon_data.site.paths import Site


@dataclass(frozen=True, slots=True)
class ExportFolder:
    """A folder of another tool's annotations.

    Attributes:
        folder: The folder.
        mapping: Mapping file of a vendor's reports.
        resample: Let masks of another grid in.
    """

    folder: Path
    mapping: ReportMapping | None = None
    resample: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """One walk, ready to go.

    Attributes:
        name: Name of the dataset it builds.
        site: The site it runs at.
        node: The PACS, service or folder to ask.
        query: What to ask for.
        rule: How studies become cases.
        schema: The label language.
        annotated: Labels this site annotates.
        recipe: How images and labels are harmonized.
        test_fraction: Share of patients kept for testing.
        exports: Folders of other tools' annotations.
        annotated_by: Labels a reader annotates, for readers who look for others than their site.
    """

    name: str
    site: Site
    node: Node
    query: Query
    rule: CaseRule
    schema: LabelSchema
    annotated: tuple[str, ...]
    recipe: Recipe
    test_fraction: float
    exports: tuple[ExportFolder, ...] = ()
    annotated_by: tuple[tuple[str, tuple[str, ...]], ...] = ()


def plan_study(site: Site, study: StudySettings, *, base: Path) -> Plan:
    """Turn settings into a plan.

    Args:
        site: Where the walk runs.
        study: The study file.
        base: Folder that relative paths in the study file start from.

    Raises:
        SettingsError: A node, label, recipe value or file it names does not exist or does not fit.
    """
    schema = load_schema(base / study.labels.schema_file)
    check_label_values(schema)
    return Plan(
        name=study.name,
        site=site,
        node=known_node(study.query.node, site),
        query=Query("STUDY", study.query.filters),
        rule=_rule(study),
        schema=schema,
        annotated=_annotated(schema, study.labels.annotated),
        annotated_by=_readers(schema, study),
        recipe=_recipe(study, base),
        test_fraction=study.test_fraction,
        exports=tuple(_export(one, base) for one in study.exports),
    )


def _recipe(study: StudySettings, base: Path) -> Recipe:
    if study.recipe and study.recipe_file:
        raise SettingsError("recipe_file and [recipe] are both given", hint="keep one of them")
    return load_recipe(base / study.recipe_file) if study.recipe_file else recipe_from(study.recipe)


def _readers(schema: LabelSchema, study: StudySettings) -> tuple[tuple[str, tuple[str, ...]], ...]:
    check_rules(schema, MapRules(annotated_by=study.labels.readers))
    return tuple(sorted(study.labels.readers.items()))


def _export(settings: ExportSettings, base: Path) -> ExportFolder:
    folder = base / settings.folder
    if not folder.is_dir():
        raise SettingsError(f"exports: {settings.folder} is no folder", hint="name the folder of the exports")
    mapping = load_mapping(base / settings.mapping) if settings.mapping else None
    return ExportFolder(folder, mapping, settings.resample)


def _rule(study: StudySettings) -> CaseRule:
    channels = tuple(ChannelRule(**channel.model_dump()) for channel in study.channels)
    case = study.case
    rule = CaseRule(channels, per=case.per, labels_required=case.labels_required, faces=case.faces)
    check_rule(rule)
    return rule


def _annotated(schema: LabelSchema, names: tuple[str, ...]) -> tuple[str, ...]:
    known = tuple(label.name for label in schema.labels)
    if unknown := sorted(set(names) - set(known)):
        hint = f"labels of {schema.name}: {', '.join(known)}"
        raise SettingsError(f"labels.annotated names unknown labels: {', '.join(unknown)}", hint=hint)
    return tuple(name for name in known if name in names) if names else known
