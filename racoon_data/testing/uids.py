"""UIDs that are the same in every run: made from words instead of chance."""

from __future__ import annotations

from racoon_data.refs import uid_of


def made_uid(*parts: object) -> str:
    """Make a valid DICOM UID from words.

    The UID lies under the root ``2.25`` (a UUID as one number), so it can never be mistaken for
    one a vendor assigned.

    Args:
        parts: Anything whose text tells objects apart, such as a seed and a role.

    Returns:
        The same UID for the same parts, in every process.
    """
    return uid_of(*parts)
