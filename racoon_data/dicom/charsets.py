"""SpecificCharacterSet to the names of Python's codecs; a term that is no name at all is an error of ours."""

from __future__ import annotations

import warnings
from functools import lru_cache

from racoon_data.errors import UnreadableError


@lru_cache(maxsize=256)
def encodings_of(terms: tuple[str, ...]) -> tuple[str, ...]:
    """Give the codecs of defined terms (PS3.3 C.12.1.1.2); unknown ones become the default repertoire.

    Args:
        terms: Values of SpecificCharacterSet.

    Raises:
        UnreadableError: A term holds what no name can hold.
    """
    from pydicom.charset import convert_encodings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return tuple(str(one) for one in convert_encodings(list(terms)))
    except (ValueError, LookupError) as error:
        raise UnreadableError("the character set has no name", hint="ask the sender for a new export") from error
