"""What is known about a case: measured in its voxels, and stated in its documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from racoon_data.geometry import Geometry, Point
from racoon_data.labels import LabelSchema
from racoon_data.refs import CaseRef


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """One channel, measured.

    Attributes:
        geometry: Its grid.
        low: Smallest finite value.
        high: Largest finite value.
        non_finite: Voxels that are no numbers.
        p01: First percentile of a sample of 50,000 voxels, with ``p50`` and ``p99``.
        unscaled_share: Share of the sample where tissue of a CT without its intercept stands.
        blank_ends: Slices at either end that hold one value throughout.
        fingerprint: The same for the same voxels, whatever their place.
    """

    geometry: Geometry
    low: float
    high: float
    non_finite: int
    p01: float
    p50: float
    p99: float
    unscaled_share: float
    blank_ends: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Fit:
    """How the image changes across a mask's boundary.

    Attributes:
        step: Mean step, inward.
        agreement: Share of boundary faces whose step has the more frequent sign; noise alone has a half.
        exchanged: Which ends were exchanged to get this mask, such as ``left and right``; empty for the mask itself.
    """

    step: float
    agreement: float
    exchanged: str = ""


@dataclass(frozen=True, slots=True)
class LabelFacts:
    """One label value of a case, measured on the first channel.

    Attributes:
        value: Voxel value.
        voxels: How many.
        ml: Their volume.
        centroid_mm: Their centre (mm, LPS).
        extent_mm: Diagonal of their box.
        intensity: Median image value inside; ``None`` off the image grid.
        outside_share: Share outside the body; ``None`` where no body was found.
        components: Connected pieces.
        roughness: Boundary against that of a ball of this volume: voxel faces count, so a smooth ball has about 1.5.
        fit: How the image changes at the boundary; ``None`` off the image grid.
        mirrored: The mirror image of the mask that fits best, ``None`` where mirror images are much the same mask.
    """

    value: int
    voxels: int
    ml: float
    centroid_mm: Point
    extent_mm: float
    intensity: float | None = None
    outside_share: float | None = None
    components: int = 0
    roughness: float = 0.0
    fit: Fit | None = None
    mirrored: Fit | None = None


@dataclass(frozen=True, slots=True)
class BodyFacts:
    """The body on the first channel.

    Attributes:
        middle_x_mm: Half way between its right and left ends (mm, LPS).
        width_mm: Its width.
        is_whole: Air is seen on its right and its left.
    """

    middle_x_mm: float
    width_mm: float
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """A case as its voxels say.

    Attributes:
        images: One a channel.
        label_grid: Grid of the label map, ``None`` without one.
        labels: Every value above background, in order.
        odd_values: Values that are no whole numbers from 0 to 255.
        body: The body, where one stands out.
    """

    images: tuple[ImageFacts, ...]
    label_grid: Geometry | None = None
    labels: tuple[LabelFacts, ...] = ()
    odd_values: tuple[float, ...] = ()
    body: BodyFacts | None = None

    def label(self, value: int) -> LabelFacts | None:
        """Give the facts of one label value, ``None`` where it does not occur."""
        return next((one for one in self.labels if one.value == value), None)


@dataclass(frozen=True, slots=True)
class ChannelStated:
    """One channel as its sidecar describes it."""

    name: str
    unit: str
    modality: str = ""
    scanner: str = ""
    kernel: str = ""
    slice_thickness_mm: float | None = None
    study_uid: str = ""
    series_uid: str = ""


@dataclass(frozen=True, slots=True)
class Stated:
    """A case as its documents say.

    Attributes:
        ref: The case.
        channels: One a channel.
        schema: The label language.
        ignore_value: Voxel value that means "do not learn from this voxel".
        annotated: Labels that were looked for.
        unmapped: Segments the label schema does not know.
        steps: What was done to the case.
        is_outlined: A reader outlined something.
        geometry: The grid it was written on, ``None`` while it is being built.
    """

    ref: CaseRef
    channels: tuple[ChannelStated, ...]
    schema: LabelSchema
    ignore_value: int | None = None
    annotated: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()
    steps: tuple[Mapping[str, Any], ...] = ()
    is_outlined: bool = False
    geometry: Geometry | None = None

    def rows(self, step: str) -> tuple[Mapping[str, Any], ...]:
        """Give the rows about labels that steps of one name recorded."""
        return tuple(row for one in self.steps if one.get("step") == step for row in one.get("labels", ()))

    def name_of(self, value: int) -> str:
        """Name a label value."""
        return next((label.name for label in self.schema.labels if label.value == value), f"value {value}")


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """Both sides of a case: what its documents say and what its voxels say."""

    stated: Stated
    measured: Measured

    @property
    def ref(self) -> CaseRef:
        """The case."""
        return self.stated.ref
