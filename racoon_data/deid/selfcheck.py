"""The self-check: an object's own bytes are searched for its patient before anything is published."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import pydicom
from pydicom.dataset import Dataset

from racoon_data.deid.identity import Identity, text_values
from racoon_data.deid.marks import own_texts
from racoon_data.deid.profile import Profile
from racoon_data.deid.writing import Encoded
from racoon_data.errors import IdentifierLeftError

_LONGEST = 256  # bytes of an identifier that may lie across two pieces
_TEXT_VRS = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_CODES = frozenset(("CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning"))


def check(encoded: Encoded, identity: Identity, profile: Profile) -> None:
    """Search what is about to be published for the patient's own identifiers.

    Every byte outside native pixel data is searched for identifiers of four characters or more (numbers:
    eight digits or more); shorter ones and words of radiology that are also names count only as whole
    decoded values of text attributes, because they occur by chance. Compressed pixel data is searched
    for identifiers of eight characters or more, which a codec's comment may hold.

    Raises:
        IdentifierLeftError: One was found; the message names where, never what.
    """
    for place, data in (("file meta information", encoded.meta), ("header", encoded.header)):
        if identity.is_in_header(data) and identity.is_in_header(_without_own(data, profile)):
            raise _found(place)
    if encoded.is_encapsulated and _is_in_pixels(encoded, identity):
        raise _found("compressed pixel data")
    if identity.may_be_weakly_in(encoded.header) and (keyword := next(_weak_hits(encoded, identity, profile), "")):
        raise _found(keyword)


def _is_in_pixels(encoded: Encoded, identity: Identity) -> bool:
    last = b""
    for piece in encoded.pixels():
        if identity.is_in_pixels(last + bytes(piece)):
            return True
        last = bytes(piece[-_LONGEST:])
    return False


def _found(place: str) -> IdentifierLeftError:
    return IdentifierLeftError(
        f"the self-check found one of the patient's identifiers in the {place} after cleaning",
        hint="nothing was published; look at the object, then report the attribute",
    )


def _without_own(data: bytes, profile: Profile) -> bytes:
    for text in own_texts(profile):
        data = data.replace(text, b"")
    return data


def _weak_hits(encoded: Encoded, identity: Identity, profile: Profile) -> Iterator[str]:
    is_little = encoded.order == "<"
    dataset = pydicom.filereader.read_dataset(BytesIO(encoded.header), encoded.is_implicit, is_little)
    own = {text.decode("ascii").casefold() for text in own_texts(profile)}
    for item, keyword, vr in _texts(dataset):
        values = {value.strip("\0 ^").casefold() for value in text_values(item[keyword].value)} - own
        if vr in _TEXT_VRS and values & identity.weak:
            yield keyword


def _texts(dataset: Dataset) -> Iterator[tuple[Dataset, str, str]]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.VR in _TEXT_VRS and element.keyword not in _CODES:
            yield dataset, element.keyword, element.VR
