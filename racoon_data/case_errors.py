"""How a study says that it becomes no case: nothing fits, something is missing, or a check failed."""

from __future__ import annotations

from racoon_data.error_base import ExitCode, RacoonError


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


class MisalignedChannelsError(CaseError):
    """Channels of one case lie in different frames of reference and cannot share a grid unregistered."""

    code = "case.misaligned_channels"
    is_skip = True


class NoAnnotationError(CaseError):
    """The recipe needs labels and the study has none that can be used."""

    code = "case.no_annotation"
    is_skip = True


class IncompleteStudyError(CaseError):
    """The study did not arrive whole and is kept out of the dataset."""

    code = "case.incomplete_study"
    is_skip = True


class IncompleteSeriesError(CaseError):
    """A series the case needs lost an instance on the way."""

    code = "case.incomplete_series"
    is_skip = True


class IncompleteLabelsError(CaseError):
    """An annotation of the study cannot be used, and without it the labels may lack something."""

    code = "case.incomplete_labels"
    is_skip = True


class RecognizableFaceError(CaseError):
    """A series of the case shows a face, and the study refuses faces; racoon marks them and does not remove them."""

    code = "case.recognizable_face"
    is_skip = True


class NotSelectedError(CaseError):
    """The object belongs to a study that became a case without it."""

    code = "case.not_selected"
    is_skip = True


class RejectedCaseError(CaseError):
    """A person looked at the case and rejected it; it stays out until somebody accepts it."""

    code = "case.rejected"
    is_skip = True


class QualityError(CaseError):
    """A check failed, and the case is kept out of the dataset."""

    code = "case.quality"
    exit_code = ExitCode.QUALITY


class LabelDriftError(CaseError):
    """Resampling changed the volume of a label by more than the recipe allows."""

    code = "case.label_drift"
    exit_code = ExitCode.QUALITY


class TooSmallError(CaseError):
    """The harmonized image has fewer voxels along an axis than the recipe asks for."""

    code = "case.too_small"
    is_skip = True
