"""The study in small: hospitals that differ, every arm, several seeds, as a frozen protocol says."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from racoon_data.documents import read_json
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.files.atomic import write_json
from racoon_data.settings import Frozen, load_toml
from racoon_data.testing.lesions import NAMES
from racoon_data.testing.slices import Thinness, ThinSite, write_thin_site
from racoon_train.evaluation.account import Comparison
from racoon_train.evaluation.metrics import Yardstick
from racoon_train.evaluation.statistics import StatisticSettings
from racoon_train.job.job import Job, JobLabel
from racoon_train.job.network import NetworkSettings
from racoon_train.job.rules import RuleSettings
from racoon_train.job.training import TrainingSettings
from racoon_train.study import StudyPlan, run_study

Positive = Annotated[int, Field(ge=1)]


class Generator(Frozen):
    """How patients are made: seed of the population (each site adds its number), grid and slices a patient."""

    seed: Annotated[int, Field(ge=0)] = 0
    pixels: Positive = 64
    pixel_mm: Annotated[float, Field(gt=0)] = 5.0
    slices: Positive = 2

    @property
    def thinness(self) -> Thinness:
        """What all sites share."""
        return Thinness(self.pixels, self.pixel_mm, self.slices)


class Measures(Frozen):
    """Tolerances of the measures, see ``evaluation.metrics.Yardstick``."""

    tolerance_mm: Annotated[float, Field(ge=0)] = 2.0
    min_lesion_ml: Annotated[float, Field(ge=0)] = 0.1
    lesion_covered: Annotated[float, Field(gt=0, le=1)] = 0.1


class Statistics(Frozen):
    """How differences are tested, see ``evaluation.statistics.StatisticSettings``."""

    resamples: Positive = 10_000
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    seed: Annotated[int, Field(ge=0)] = 0


class Protocol(Frozen):
    """A study fixed before its first run (``schemas/study-protocol``).

    Attributes:
        schema_version: Version of this layout.
        name: Name of the study.
        seeds: Seeds every arm is trained from.
        pooled: Train on all data too.
        generator: How patients are made.
        sites: Hospitals that train.
        external: Hospital that does not.
        network: As in a job.
        training: As in a job.
        rules: As in a job.
        measures: Tolerances.
        statistics: Tests.
    """

    schema_version: Literal["1.0"] = "1.0"
    name: str
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]
    pooled: bool = True
    generator: Generator = Generator()
    sites: Annotated[tuple[ThinSite, ...], Field(min_length=2)]
    external: ThinSite
    network: NetworkSettings = NetworkSettings()
    training: TrainingSettings = TrainingSettings()
    rules: RuleSettings = RuleSettings()
    measures: Measures = Measures()
    statistics: Statistics = Statistics()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [site.name for site in (*self.sites, self.external)]
        if len(set(names)) < len(names):
            raise ValueError("every hospital needs a name of its own")
        return self

    @property
    def job(self) -> Job:
        """What the sites train."""
        labels = tuple(JobLabel(value=value, name=name) for value, name in NAMES.items())
        sections: dict[str, Any] = {"network": self.network, "training": self.training, "rules": self.rules}
        return Job(name=self.name, seed=self.seeds[0], labels=labels, **sections)


def load_protocol(path: Path) -> tuple[Protocol, str]:
    """Read a protocol file and the hash of its bytes.

    Raises:
        SettingsError: It is missing or wrong.
    """
    protocol = load_toml(path, Protocol)
    return protocol, hashlib.sha256(path.read_bytes()).hexdigest()


def write_hospitals(protocol: Protocol, folder: Path, *, on_event: OnEvent = ignore) -> dict[str, Path]:
    """Write the datasets of the sites and of the external hospital, in the order of the protocol.

    Args:
        protocol: The study.
        folder: Where the datasets go.
        on_event: Listener (kind ``hospitals``).
    """
    hospitals = (*protocol.sites, protocol.external)
    for number, site in enumerate(hospitals):
        seed = protocol.generator.seed + number
        write_thin_site(folder / site.name, site, protocol.generator.thinness, seed=seed)
        on_event(Event("hospitals", site.name, number + 1, len(hospitals)))
    return {site.name: folder / site.name for site in hospitals}


def prepare(protocol: Protocol, out: Path, *, on_event: OnEvent = ignore) -> dict[str, Path]:
    """Make the hospitals, unless they are there, so that several seeds can be trained side by side.

    Returns:
        Dataset folder by name.
    """
    mark = out / "hospitals" / "made.json"
    wanted = protocol.model_dump(mode="json", include={"generator", "sites", "external"})
    if not mark.is_file() or read_json(mark) != wanted:
        write_hospitals(protocol, out / "hospitals", on_event=on_event)
        write_json(mark, wanted)
    return {site.name: out / "hospitals" / site.name for site in (*protocol.sites, protocol.external)}


def run_protocol(
    protocol: Protocol,
    out: Path,
    *,
    aggregator: str = "in-process",
    seeds: Sequence[int] = (),
    on_event: OnEvent = ignore,
) -> Comparison:
    """Make the hospitals and run the study.

    Args:
        protocol: The study.
        out: Folder for datasets, models and account.
        aggregator: Plug-in of ``racoon.aggregators``.
        seeds: Some of the protocol's seeds; all of them if none are named.
        on_event: Listener.

    Raises:
        FederationError: Training or judging failed.
    """
    roots = prepare(protocol, out, on_event=on_event)
    external = {protocol.external.name: roots.pop(protocol.external.name)}
    plan = StudyPlan(
        aggregator=aggregator,
        seeds=tuple(seeds) or protocol.seeds,
        is_pooled=protocol.pooled,
        yardstick=Yardstick(**protocol.measures.model_dump()),
        statistics=StatisticSettings(**protocol.statistics.model_dump()),
    )
    return run_study(protocol.job, roots, external, out, plan, on_event=on_event)
