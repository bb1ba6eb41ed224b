"""Every way racoon says no: one tree of errors with codes, hints and exit codes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What a command tells the shell when it ends."""

    DONE = 0
    BUG = 1
    USAGE = 2
    SETTINGS = 3
    PEER = 4
    PARTIAL = 5
    QUALITY = 6
    POLICY = 7
    NOTHING = 8
    STORAGE = 9
    INTERRUPTED = 130


_WORST_FIRST = (
    ExitCode.BUG,
    ExitCode.SETTINGS,
    ExitCode.POLICY,
    ExitCode.STORAGE,
    ExitCode.PEER,
    ExitCode.PARTIAL,
    ExitCode.QUALITY,
    ExitCode.NOTHING,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Choose the exit code to report where several hold.

    Args:
        codes: Any number of exit codes; none means done.

    Returns:
        The first of the house order (1, 3, 7, 9, 4, 5, 6, 8) that occurs, else ``DONE``.
    """
    present = set(codes)
    return next((code for code in _WORST_FIRST if code in present), ExitCode.DONE)


class RacoonError(Exception):
    """Something racoon can name.

    Attributes:
        code: Stable name of the kind of error; ``docs/errors.md`` has a section for each.
        exit_code: What a command exits with when this error ends it.
        is_skip: True where the item is set aside by a declared rule and is no failure.
        ref: The object it happened to (never a patient value).
        hint: What helps.
    """

    code: ClassVar[str] = "racoon.error"
    exit_code: ClassVar[ExitCode] = ExitCode.BUG
    is_skip: ClassVar[bool] = False

    def __init__(self, message: str, *, ref: object | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.ref = ref
        self.hint = hint

    def __str__(self) -> str:
        where = f" [{self.ref}]" if self.ref is not None else ""
        return f"{self.message}{where}"

    def __reduce__(self) -> tuple[object, ...]:
        """Cross process borders whole: keyword-only attributes travel as state."""
        return (_rebuild, (type(self), self.message, dict(self.__dict__)))


def _rebuild(kind: type[RacoonError], message: str, state: dict[str, object]) -> RacoonError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


@contextmanager
def about(ref: object) -> Iterator[None]:
    """Attach a reference to any racoon error raised inside that does not carry one yet."""
    try:
        yield
    except RacoonError as error:
        if error.ref is None:
            error.ref = ref
        raise


class SettingsError(RacoonError):
    """A settings file, study file or option is wrong."""

    code = "settings.invalid"
    exit_code = ExitCode.SETTINGS


class MissingExtraError(SettingsError):
    """A command needs an optional part of racoon that is not installed."""

    code = "settings.missing_extra"


class SchemaError(SettingsError):
    """A document does not validate against its JSON Schema."""

    code = "schema.invalid"


class NothingMatchedError(RacoonError):
    """A query or a folder held nothing to work on."""

    code = "query.nothing_matched"
    exit_code = ExitCode.NOTHING


class PacsError(RacoonError):
    """Talking to a PACS failed."""

    code = "pacs.error"
    exit_code = ExitCode.PEER


class PacsUnreachableError(PacsError):
    """No connection could be opened."""

    code = "pacs.unreachable"


class PacsRefusedError(PacsError):
    """The peer answered and said no."""

    code = "pacs.refused"


class PacsTimeoutError(PacsError):
    """The peer fell silent."""

    code = "pacs.timeout"


class PacsPartialError(PacsError):
    """Some expected instances did not arrive."""

    code = "pacs.partial"
    exit_code = ExitCode.PARTIAL


class PacsCappedError(PacsError):
    """The answer to a query was cut off by the peer."""

    code = "pacs.capped"


class DicomError(RacoonError):
    """A DICOM object cannot be used."""

    code = "dicom.error"
    exit_code = ExitCode.PARTIAL


class NotDicomError(DicomError):
    """The file is not a DICOM object."""

    code = "dicom.not_dicom"
    is_skip = True


class UnreadableError(DicomError):
    """The file claims to be DICOM and cannot be parsed."""

    code = "dicom.unreadable"


class TruncatedError(DicomError):
    """The file ends before its content does."""

    code = "dicom.truncated"


class HostileFileError(DicomError):
    """The file's structure is beyond what the guard lets through."""

    code = "dicom.hostile"


class UnsupportedPixelsError(DicomError):
    """The pixel data cannot be decoded here."""

    code = "dicom.unsupported_pixels"


class UnsupportedObjectError(DicomError):
    """This kind of DICOM object is neither a stackable image nor an annotation racoon reads."""

    code = "dicom.unsupported_object"
    is_skip = True


class DuplicateInstanceError(DicomError):
    """The same object is there twice, byte for byte; one copy is used."""

    code = "dicom.duplicate_instance"
    is_skip = True


class InconsistentSeriesError(DicomError):
    """The slices of a series do not form one volume."""

    code = "dicom.inconsistent_series"


class MissingSlicesError(InconsistentSeriesError):
    """A series has a gap.

    Attributes:
        missing: Zero-based indices of the absent slices along the stack, counted on the regular grid.
    """

    code = "dicom.missing_slices"

    def __init__(self, message: str, *, missing: tuple[int, ...], ref: object | None = None, hint: str = "") -> None:
        super().__init__(message, ref=ref, hint=hint)
        self.missing = missing


class NoGeometryError(DicomError):
    """The object does not say where in the patient it lies."""

    code = "dicom.no_geometry"


class UncertifiedError(DicomError):
    """A written volume does not hold the values its headers promise."""

    code = "convert.uncertified"
    exit_code = ExitCode.QUALITY


class DeidError(RacoonError):
    """De-identification could not be completed; nothing was let through."""

    code = "deid.failed"
    exit_code = ExitCode.POLICY


class QuarantineError(DeidError):
    """The object may show or carry identity and waits for a person's decision."""

    code = "deid.quarantined"
    is_skip = True


class AuditError(RacoonError):
    """The audit log was edited, cut or reordered."""

    code = "audit.broken"
    exit_code = ExitCode.POLICY


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


class UnknownLabelError(AnnotationError):
    """A segment maps to no label of the schema."""

    code = "annotation.unknown_label"
    is_skip = True


class CaseError(RacoonError):
    """A study cannot become a case."""

    code = "case.error"
    exit_code = ExitCode.PARTIAL


class AmbiguousCaseError(CaseError):
    """Several series fit a channel equally well."""

    code = "case.ambiguous"
    is_skip = True


class NoChannelError(CaseError):
    """No series fits a required channel."""

    code = "case.no_channel"
    is_skip = True


class NoAnnotationError(CaseError):
    """The recipe needs labels and the study has none that can be used."""

    code = "case.no_annotation"
    is_skip = True


class IncompleteStudyError(CaseError):
    """The study did not arrive whole and is kept out of the dataset."""

    code = "case.incomplete_study"
    is_skip = True


class DatasetError(RacoonError):
    """A dataset is wrong."""

    code = "dataset.error"
    exit_code = ExitCode.QUALITY


class DamagedDatasetError(DatasetError):
    """A file of the dataset is missing or differs from its checksum."""

    code = "dataset.damaged"


class SplitLeakError(DatasetError):
    """One patient stands on both sides of a split."""

    code = "dataset.split_leak"


class StorageError(RacoonError):
    """The disk or the site folder cannot be used."""

    code = "storage.error"
    exit_code = ExitCode.STORAGE


class DiskFullError(StorageError):
    """No space is left."""

    code = "storage.full"


class LockedError(StorageError):
    """Another process works on this site."""

    code = "storage.locked"


class NewerLedgerError(StorageError):
    """The ledger was written by a newer racoon."""

    code = "storage.newer_ledger"


class FederationError(RacoonError):
    """Training together failed."""

    code = "federation.error"
    exit_code = ExitCode.PEER


class PayloadError(FederationError):
    """An update has wrong names, shapes or values."""

    code = "federation.payload"
    exit_code = ExitCode.POLICY


class SiteLostError(FederationError):
    """A site stopped answering."""

    code = "federation.site_lost"
