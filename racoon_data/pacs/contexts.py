"""Presentation contexts: which object kinds and encodings to offer, within the limit of 128."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pynetdicom import AllStoragePresentationContexts, build_role
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

FIND_MODELS = (PatientRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelFind)
GET_MODELS = (PatientRootQueryRetrieveInformationModelGet, StudyRootQueryRetrieveInformationModelGet)
MOVE_MODELS = (PatientRootQueryRetrieveInformationModelMove, StudyRootQueryRetrieveInformationModelMove)

STORAGE_CLASSES = tuple(str(context.abstract_syntax) for context in AllStoragePresentationContexts)

LIMIT = 128

UNCOMPRESSED = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
COMPRESSED = (
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.5",  # RLE lossless
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.51",  # JPEG extended
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.201",  # High-throughput JPEG 2000 lossless
    "1.2.840.10008.1.2.4.203",  # High-throughput JPEG 2000
    "1.2.840.10008.1.2.4.102",  # MPEG-4
    "1.2.840.10008.1.2.1.99",  # deflated
    "1.2.840.10008.1.2.2",  # big endian, retired
)
SYNTAXES = (*UNCOMPRESSED, *COMPRESSED)

# Storage classes by modality, for a peer whose image-level answers lack SOPClassUID (PS3.6 annex A).
_BY_MODALITY = {
    "CT": ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"),
    "MR": ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"),
    "PT": ("1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.130"),
    "SEG": ("1.2.840.10008.5.1.4.1.1.66.4",),
    "RTSTRUCT": ("1.2.840.10008.5.1.4.1.1.481.3",),
    "SR": (
        "1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.5.1.4.1.1.88.33",
        "1.2.840.10008.5.1.4.1.1.88.34",
    ),
    "CR": ("1.2.840.10008.5.1.4.1.1.1",),
    "DX": ("1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1"),
    "MG": ("1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.13.1.3"),
    "US": ("1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1"),
    "NM": ("1.2.840.10008.5.1.4.1.1.20",),
    "OT": ("1.2.840.10008.5.1.4.1.1.7",),
}  # fmt: skip
COMMON_CLASSES = tuple(dict.fromkeys(uid for uids in _BY_MODALITY.values() for uid in uids))


STANDARD_ROOT = "1.2.840.10008."
CLASSES_PER_GET = (LIMIT - 1) // len(SYNTAXES)


def is_private(sop_class: str) -> bool:
    """Tell whether a SOP class is none of the standard's."""
    return not sop_class.startswith(STANDARD_ROOT)


def classes_for(sop_classes: Iterable[str], modalities: Iterable[str]) -> tuple[str, ...]:
    """Choose the storage classes to offer for a study.

    Args:
        sop_classes: What the peer says it holds; empty texts are passed over.
        modalities: Its modalities, used where it does not say.

    Returns:
        The named classes; else those of the modalities; else the common ones.
    """
    named = tuple(dict.fromkeys(uid for uid in sop_classes if uid))
    by_modality = tuple(dict.fromkeys(uid for word in modalities for uid in _BY_MODALITY.get(word, ())))
    return named or by_modality or COMMON_CLASSES


def retrieve_contexts(model: str, sop_classes: Sequence[str]) -> list[PresentationContext]:
    """Offer each class with each encoding in a context of its own, so that the peer need not convert.

    Args:
        model: The C-GET model.
        sop_classes: Storage classes wanted, ``CLASSES_PER_GET`` at most: more need several associations.
    """
    offered = [build_context(uid, syntax) for uid in sop_classes[:CLASSES_PER_GET] for syntax in SYNTAXES]
    return [build_context(model), *offered]


def storage_roles(sop_classes: Sequence[str]) -> list[SCP_SCU_RoleSelectionNegotiation]:
    """Ask to be the receiver of these classes: C-GET sends on the association it was asked on."""
    return [build_role(uid, scp_role=True) for uid in sop_classes[:CLASSES_PER_GET]]


def push_batches(kinds: Iterable[tuple[str, str]]) -> list[list[PresentationContext]]:
    """Group (SOP class, transfer syntax) pairs into lists of contexts that fit one association each."""
    contexts = [build_context(sop_class, syntax) for sop_class, syntax in sorted(set(kinds))]
    return [contexts[start : start + LIMIT] for start in range(0, len(contexts), LIMIT)]
