"""The sidecar of a case, ``sidecars/<case>.json``: what it may hold, and reading it back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from racoon_data.documents import read_json
from racoon_data.errors import DamagedDatasetError
from racoon_data.files.manifest import CaseId, RelativePath, Sha256
from racoon_data.geometry import Affine
from racoon_data.refs import FileRef
from racoon_data.settings import Frozen

REBUILD = "build the dataset again; what is whole is kept"
_SPELLED = {"kvp": "KVP", "lps": "LPS", "sop": "SOP", "uid": "UID", "uids": "UIDs"}


def _key(name: str) -> str:
    return "".join(_SPELLED.get(word, word.capitalize()) for word in name.split("_"))


class Part(Frozen):
    """A table of the sidecar; keys are spelled like DICOM keywords and BIDS keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=_key, populate_by_name=True, serialize_by_alias=True
    )


class AcquisitionPart(Part):
    """How a series was made; empty or null where its headers do not say."""

    modality: str = ""
    series_description: str = ""
    body_part_examined: str = ""
    manufacturer: str = ""
    manufacturers_model_name: str = ""
    image_type: tuple[str, ...] = ()
    convolution_kernel: tuple[str, ...] = ()
    slice_thickness: float | None = None
    kvp: float | None = None
    contrast_bolus_agent: str = ""
    contrast_delay_s: float | None = None
    patient_position: str = ""
    sop_class_uid: str = ""
    transfer_syntax_uid: str = ""
    recognizable_visual_features: bool = False


class ChannelPart(Part):
    """One channel and its series, by pseudonymous UIDs; instances in stack order."""

    name: str
    unit: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uids: tuple[str, ...]
    acquisition: AcquisitionPart


class GeometryPart(Part):
    """The grid of images and labels: size and spacing along i, j, k."""

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    orientation: Annotated[str, Field(pattern=r"^[LRAPSI]{3}$")]
    affine_lps: Affine
    frame_of_reference_uid: str | None = None


class CodePart(Part):
    """A code of a coding scheme."""

    code_value: str
    coding_scheme_designator: str
    code_meaning: str = ""


class SegmentPart(Part):
    """One outlined thing in the words of the tool that outlined it, and its voxel value in a reader file."""

    value: int | None = None
    number: int
    name: str
    category: CodePart | None = None
    type: CodePart | None = None
    type_modifier: CodePart | None = None
    region: CodePart | None = None
    region_modifier: CodePart | None = None
    algorithm: str = ""
    tracking_uid: str = ""


class AnnotationPart(Part):
    """One annotation file that was read for this case."""

    kind: str
    reader: str
    sop_instance_uid: str
    segments: tuple[SegmentPart, ...] = ()
    notes: tuple[str, ...] = ()


class ReaderPart(Part):
    """One file of unfused masks."""

    path: RelativePath
    reader: str
    segments: tuple[SegmentPart, ...]


class LabelPart(Part):
    """What the label map says, and what it could not say."""

    annotated: tuple[str, ...] = ()
    annotated_by_reader: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    volume_ml: dict[str, float] = Field(default_factory=dict)
    overwritten_voxels: dict[str, int] = Field(default_factory=dict)
    ignored_voxels: int = 0
    unmapped: tuple[str, ...] = ()


class OutputPart(Part):
    """One written file; ``PixelSha256`` hashes the values alone, so copies are found whatever their place."""

    path: RelativePath
    sha256: Sha256
    dtype: str
    pixel_sha256: Sha256


class CaseSidecar(Part):
    """The whole of ``sidecars/<case>.json``."""

    schema_version: Literal["1.0"] = "1.0"
    case_id: CaseId
    subject_pseudonym: str
    relative_day: int | None = None
    channels: tuple[ChannelPart, ...]
    geometry: GeometryPart
    label: LabelPart | None = None
    annotations: tuple[AnnotationPart, ...] = ()
    readers: tuple[ReaderPart, ...] = ()
    findings: tuple[dict[str, str], ...] = ()
    steps: tuple[dict[str, Any], ...] = ()
    outputs: tuple[OutputPart, ...]
    software: dict[str, str]


def load_sidecar(path: Path) -> CaseSidecar:
    """Read a sidecar.

    Raises:
        DamagedDatasetError: It is missing, no JSON or not of this kind.
    """
    try:
        return CaseSidecar.model_validate(read_json(path))
    except (OSError, ValueError) as error:
        raise DamagedDatasetError("the sidecar cannot be read", ref=FileRef(path.name), hint=REBUILD) from error
