"""Every way racoon says no: one tree of errors with codes, hints and exit codes."""

from __future__ import annotations

from racoon_data.annotation_errors import AmbiguousReferenceError as AmbiguousReferenceError
from racoon_data.annotation_errors import AnnotationError as AnnotationError
from racoon_data.annotation_errors import BrokenExportError as BrokenExportError
from racoon_data.annotation_errors import BrokenItemError as BrokenItemError
from racoon_data.annotation_errors import ConflictingClaimError as ConflictingClaimError
from racoon_data.annotation_errors import DanglingReferenceError as DanglingReferenceError
from racoon_data.annotation_errors import EmptyItemError as EmptyItemError
from racoon_data.annotation_errors import GridMismatchError as GridMismatchError
from racoon_data.annotation_errors import HostileExportError as HostileExportError
from racoon_data.annotation_errors import MappingError as MappingError
from racoon_data.annotation_errors import OutsideImageError as OutsideImageError
from racoon_data.annotation_errors import UncodedItemError as UncodedItemError
from racoon_data.annotation_errors import UnknownLabelError as UnknownLabelError
from racoon_data.annotation_errors import UnmappedFieldError as UnmappedFieldError
from racoon_data.annotation_errors import UnsupportedAnnotationError as UnsupportedAnnotationError
from racoon_data.annotation_errors import WithheldTextError as WithheldTextError
from racoon_data.annotation_errors import WrongPatientError as WrongPatientError
from racoon_data.case_errors import AmbiguousCaseError as AmbiguousCaseError
from racoon_data.case_errors import CaseError as CaseError
from racoon_data.case_errors import IncompleteLabelsError as IncompleteLabelsError
from racoon_data.case_errors import IncompleteSeriesError as IncompleteSeriesError
from racoon_data.case_errors import IncompleteStudyError as IncompleteStudyError
from racoon_data.case_errors import LabelDriftError as LabelDriftError
from racoon_data.case_errors import MisalignedChannelsError as MisalignedChannelsError
from racoon_data.case_errors import NoAnnotationError as NoAnnotationError
from racoon_data.case_errors import NoChannelError as NoChannelError
from racoon_data.case_errors import NotSelectedError as NotSelectedError
from racoon_data.case_errors import QualityError as QualityError
from racoon_data.case_errors import RecognizableFaceError as RecognizableFaceError
from racoon_data.case_errors import RejectedCaseError as RejectedCaseError
from racoon_data.case_errors import TooSmallError as TooSmallError
from racoon_data.error_base import ExitCode as ExitCode
from racoon_data.error_base import RacoonError as RacoonError
from racoon_data.error_base import about as about
from racoon_data.error_base import worst as worst
from racoon_data.pacs_errors import PacsBusyError as PacsBusyError
from racoon_data.pacs_errors import PacsCappedError as PacsCappedError
from racoon_data.pacs_errors import PacsEndlessError as PacsEndlessError
from racoon_data.pacs_errors import PacsError as PacsError
from racoon_data.pacs_errors import PacsLostError as PacsLostError
from racoon_data.pacs_errors import PacsPartialError as PacsPartialError
from racoon_data.pacs_errors import PacsPausedError as PacsPausedError
from racoon_data.pacs_errors import PacsProtocolError as PacsProtocolError
from racoon_data.pacs_errors import PacsRefusedError as PacsRefusedError
from racoon_data.pacs_errors import PacsTimeoutError as PacsTimeoutError
from racoon_data.pacs_errors import PacsUnreachableError as PacsUnreachableError
from racoon_data.worker_errors import InterruptedRunError as InterruptedRunError
from racoon_data.worker_errors import WorkerError as WorkerError
from racoon_data.worker_errors import WorkerKilledError as WorkerKilledError
from racoon_data.worker_errors import WorkerMemoryError as WorkerMemoryError
from racoon_data.worker_errors import WorkersLostError as WorkersLostError


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


class FrameCountError(DicomError):
    """Frames and stored pixels disagree: there are fewer or more than the header says."""

    code = "dicom.frame_count"


class UnsupportedObjectError(DicomError):
    """This kind of DICOM object is neither a stackable image nor an annotation racoon reads."""

    code = "dicom.unsupported_object"
    is_skip = True


class DuplicateInstanceError(DicomError):
    """The same object is there twice, byte for byte; one copy is used."""

    code = "dicom.duplicate_instance"
    is_skip = True


class DuplicateSliceError(DicomError):
    """The same slice is there twice under two SOPInstanceUIDs: place, attributes and pixels agree; one is used."""

    code = "dicom.duplicate_slice"
    is_skip = True


class ListedFileMissingError(DicomError):
    """A DICOMDIR lists a file that is not there."""

    code = "dicom.listed_file_missing"


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


class UnevenSpacingError(InconsistentSeriesError):
    """The distance from slice to slice changes, and no single grid holds them all."""

    code = "dicom.uneven_spacing"


class NoGeometryError(DicomError):
    """The object does not say where in the patient it lies."""

    code = "dicom.no_geometry"


class SuvError(DicomError):
    """A PET series cannot be turned into SUV: an attribute the formula needs is missing or makes no sense."""

    code = "convert.no_suv"


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


class IdentityRiskError(QuarantineError):
    """The picture itself may show identity; a person looks at it and may release it."""

    code = "deid.identity_risk"


class IdentifierLeftError(QuarantineError):
    """The self-check found one of the patient's own identifiers after cleaning."""

    code = "deid.identifier_left"


class ForgottenPatientError(DeidError):
    """The patient withdrew consent: nothing of the object is taken in or kept."""

    code = "deid.forgotten_patient"
    is_skip = True


class PseudonymServiceError(DeidError):
    """The pseudonym service has not named this patient: the work waits, and nothing falls back to other names."""

    code = "deid.pseudonym_service"
    exit_code = ExitCode.PEER


class VaultError(DeidError):
    """The vault cannot answer: its table does not know this object, or cannot be opened."""

    code = "deid.vault"


class RestoreError(DeidError):
    """An object cannot be given its original identity; nothing of it was written."""

    code = "deid.not_restored"


class AuditError(RacoonError):
    """The audit log was edited, cut or reordered."""

    code = "audit.broken"
    exit_code = ExitCode.POLICY


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


class JobMismatchError(FederationError):
    """A site's dataset does not fit the job."""

    code = "federation.job_mismatch"
    exit_code = ExitCode.POLICY


class SiteLostError(FederationError):
    """A site stopped answering."""

    code = "federation.site_lost"


class QuorumLostError(FederationError):
    """A round had fewer good updates than the job's quorum; the rounds before it are kept, and it can go on."""

    code = "federation.quorum_lost"
    exit_code = ExitCode.PEER


class NotApprovedError(FederationError):
    """The site's steward approved another job, another dataset or nothing."""

    code = "federation.not_approved"
    exit_code = ExitCode.POLICY


class ChangedDatasetError(FederationError):
    """The dataset is not the one the job was approved for."""

    code = "federation.dataset_changed"
    exit_code = ExitCode.POLICY


class UnpinnedServerError(FederationError):
    """The coordinator's certificate is not the one its invitation pinned."""

    code = "federation.unpinned_server"
    exit_code = ExitCode.POLICY


class ExpiredCertificateError(FederationError):
    """A certificate of the federation is no longer, or not yet, valid."""

    code = "federation.certificate_expired"
    exit_code = ExitCode.POLICY


class UnknownMemberError(FederationError):
    """The coordinator does not know this site's key."""

    code = "federation.unknown_member"
    exit_code = ExitCode.PEER


class DivergedError(FederationError):
    """Training ran away: its loss is no longer a number."""

    code = "federation.diverged"
    exit_code = ExitCode.QUALITY


class PrivacyBudgetError(FederationError):
    """The job would spend more of the patients' privacy than it allows."""

    code = "federation.privacy_budget"
    exit_code = ExitCode.POLICY
