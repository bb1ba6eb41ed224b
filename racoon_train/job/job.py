"""The federation job: what is trained, on which labels, for how long, and by which rules."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from racoon_data import schemas
from racoon_data.documents import read_json
from racoon_data.errors import SettingsError
from racoon_data.settings import Frozen, load_toml
from racoon_train.job.network import NetworkSettings
from racoon_train.job.privacy import PrivacySettings
from racoon_train.job.requirements import Requirements
from racoon_train.job.rules import RuleSettings
from racoon_train.job.statistics import StatisticsSettings
from racoon_train.job.training import TrainingSettings


class JobLabel(Frozen):
    """One class to learn: its voxel value in every dataset, and its name."""

    value: Annotated[int, Field(ge=1, le=254)]
    name: Annotated[str, Field(min_length=1)]


class Job(Frozen):
    """Everything the sites agree on before round 0 (``schemas/federation-job``)."""

    schema_version: Literal["1.0"] = "1.0"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,60}$")]
    task: Literal["segmentation"] = "segmentation"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    labels: Annotated[tuple[JobLabel, ...], Field(min_length=1)]
    requirements: Requirements = Requirements()
    network: NetworkSettings = NetworkSettings()
    training: TrainingSettings = TrainingSettings()
    rules: RuleSettings = RuleSettings()
    statistics: StatisticsSettings = StatisticsSettings()
    privacy: PrivacySettings = PrivacySettings()

    @model_validator(mode="after")
    def _labels_are_unique(self) -> Self:
        names = {label.name for label in self.labels}
        values = {label.value for label in self.labels}
        if min(len(names), len(values)) < len(self.labels):
            raise ValueError("label names and values must be unique")
        if unknown := sorted(set(self.requirements.annotated) - names):
            raise ValueError(f"the requirements name classes the job does not have: {', '.join(unknown)}")
        return self

    @model_validator(mode="after")
    def _patch_fits_the_network(self) -> Self:
        multiple, patch = self.network.multiple, self.training.patch
        if not isinstance(patch, int) and len(patch) != self.network.dimensions:
            raise ValueError(f"{self.network.name} needs a patch of {self.network.dimensions} sizes")
        if any(size % multiple or size < 2 * multiple for size in self.patch_size):
            raise ValueError(f"with these channels each size of a patch is a multiple of {multiple}, and not the first")
        return self

    @model_validator(mode="after")
    def _can_be_private(self) -> Self:
        if self.privacy.dp_sgd is not None and (wrong := self._not_private()):
            raise ValueError(f"privacy.dp_sgd is not possible with {', '.join(wrong)}")
        return self

    def _not_private(self) -> list[str]:
        """Name what keeps a patient's gradient from being told apart, or tells of patients beside the weights."""
        wrong = [f"a {self.network.name}, whose blocks work in place: use unet2d or unet3d"] * self.network.is_dynunet
        wrong += ["norm = batch, which mixes patients: use group"] * (self.network.norm == "batch")
        wrong += ["mixed precision: use fp32"] * (self.training.precision != "fp32")
        wrong += [f"strategy {self.rules.strategy.name}"] * (self.rules.strategy.name in ("fedprox", "scaffold"))
        wrong += ["fine-tuning, which adds no noise"] * (self.rules.fine_tune_steps > 0)
        return wrong

    @property
    def patch_size(self) -> tuple[int, ...]:
        """Size of a patch in voxels: rows and columns, or slices, rows and columns."""
        patch = self.training.patch
        return (patch,) * self.network.dimensions if isinstance(patch, int) else patch

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the network's foreground classes, in output order after background."""
        return tuple(label.name for label in self.labels)

    @property
    def sha256(self) -> str:
        """Hash of the canonical JSON: what a site approves."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("utf-8")).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Give the job as a JSON document."""
        return self.model_dump(mode="json")

    def longer(self, factor: int) -> Job:
        """Give the job with ``factor`` times the steps per round (the pooled arm's total)."""
        training = self.training.model_copy(update={"local_steps": self.training.local_steps * factor})
        return self.model_copy(update={"training": training})

    def quorum_of(self, sites: int) -> int:
        """Give the fewest updates a round of this many sites needs."""
        return min(self.rules.quorum or sites, sites)


def job_from(document: Mapping[str, Any]) -> Job:
    """Parse a job.

    Raises:
        SchemaError: It does not validate against the schema.
        SettingsError: It validates and still does not make sense.
    """
    plain = json.loads(json.dumps(dict(document)))
    schemas.validate("federation-job", plain)
    try:
        return Job.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise SettingsError(f"job {place}: {first['msg']}", hint="compare with schemas/examples") from error


def load_job(path: Path) -> Job:
    """Read a job file (TOML or JSON).

    Raises:
        SettingsError: The file is missing, unreadable or wrong.
    """
    if path.suffix == ".json":
        try:
            return job_from(read_json(path))
        except (OSError, ValueError) as error:
            raise SettingsError(f"{path} is no readable job", hint="name a job file (TOML or JSON)") from error
    return load_toml(path, Job)
