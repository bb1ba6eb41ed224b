"""How reading and placing annotations fails: part of the tree in ``racoon_data.errors``."""

from __future__ import annotations

from racoon_data.error_base import ExitCode, RacoonError


class AnnotationError(RacoonError):
    """An annotation cannot be used."""

    code = "annotation.error"
    exit_code = ExitCode.PARTIAL


class UnsupportedAnnotationError(AnnotationError):
    """The kind or encoding of an annotation is not supported."""

    code = "annotation.unsupported"


class DanglingReferenceError(AnnotationError):
    """An annotation points at images that are not here."""

    code = "annotation.dangling_reference"
    is_skip = True


class AmbiguousReferenceError(AnnotationError):
    """An annotation fits several image series equally well."""

    code = "annotation.ambiguous_reference"
    is_skip = True


class GridMismatchError(AnnotationError):
    """An annotation does not lie on its image grid."""

    code = "annotation.grid_mismatch"


class WrongPatientError(AnnotationError):
    """An annotation and the images it names belong to different patients; it is kept out."""

    code = "annotation.wrong_patient"


class BrokenExportError(AnnotationError):
    """A file of another tool, or an item of it, cannot be read."""

    code = "annotation.broken_export"


class HostileExportError(AnnotationError):
    """A file of another tool is built in a way that no report is: entities, extreme depth or size."""

    code = "annotation.hostile"


class MappingError(AnnotationError):
    """A rule of the mapping file does not fit what the export holds."""

    code = "annotation.mapping"


class UnmappedFieldError(AnnotationError):
    """No rule of the mapping file reads a value of the export; it is counted and left out."""

    code = "annotation.unmapped_field"
    is_skip = True


class BrokenItemError(AnnotationError):
    """One item of an annotation (a frame, a contour, a measurement) is broken; the others are kept."""

    code = "annotation.broken_item"


class EmptyItemError(AnnotationError):
    """One item of an annotation covers no voxel of the image."""

    code = "annotation.empty_item"
    is_skip = True


class OutsideImageError(AnnotationError):
    """Part of an item of an annotation lies outside the image and was left out."""

    code = "annotation.outside_image"


class UncodedItemError(AnnotationError):
    """An item of an annotation carries no usable code, or a private one; it is kept as it stands."""

    code = "annotation.uncoded"


class ConflictingClaimError(AnnotationError):
    """Items of one label map claim the same voxel; every claim is kept as a mask of its own."""

    code = "annotation.conflicting_claims"


class WithheldTextError(AnnotationError):
    """Free text of another tool's export does not pass the door unless its mapping file keeps it."""

    code = "annotation.withheld_text"
    is_skip = True


class UnknownLabelError(AnnotationError):
    """A segment maps to no label of the schema."""

    code = "annotation.unknown_label"
    is_skip = True
