"""What a header claims of its pixels against what is stored (PS3.5, section 8)."""

from __future__ import annotations

from racoon_data.dicom.walk import Limits
from racoon_data.errors import HostileFileError, TruncatedError

_SUSPICIOUS = 64 << 20


def claimed_bytes(*, values: int, bits: int, frames: bytes, photometric: bytes) -> int:
    """Work out how many bytes the pixels take.

    Args:
        values: Rows x columns x samples of one frame.
        bits: BitsAllocated.
        frames: NumberOfFrames as stored; one where it is absent or no number.
        photometric: PhotometricInterpretation as stored.
    """
    digits = frames.strip(b"\0 ")
    values *= int(digits) if digits.isdigit() and len(digits) < 12 else 1
    if photometric.strip(b"\0 ") == b"YBR_FULL_422":
        values = values * 2 // 3
    return (values * bits + 7) // 8


def check_claims(claimed: int, *, stored: int, is_encapsulated: bool, limits: Limits) -> None:
    """Refuse a header that claims more pixels than there can be.

    Args:
        claimed: Bytes the header claims.
        stored: Bytes of pixel data in the file.
        is_encapsulated: The stored bytes are compressed.
        limits: What is let through.

    Raises:
        HostileFileError: The claim is beyond a limit.
        TruncatedError: Native pixels are shorter than claimed.
    """
    if claimed > limits.pixel_bytes:
        raise HostileFileError("the header claims more pixels than the limit", hint="keep the file out")
    if claimed > _SUSPICIOUS and claimed > limits.expansion * stored:
        raise HostileFileError("the header claims far more pixels than are stored", hint="keep the file out")
    if not is_encapsulated and stored < claimed:
        raise TruncatedError("the pixel data are shorter than rows, columns and frames say", hint="retrieve it again")
