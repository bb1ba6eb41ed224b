"""Pseudonyms are keyed, stable, short enough for DICOM and leave the standard's own UIDs alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from racoon_data.deid.pseudonyms import MAX_SHIFT_DAYS, Pseudonymizer
from racoon_data.errors import SettingsError
from tests.deid.conftest import KEY

UID = "1.3.6.1.4.1.14519.5.2.1.7009.9004.1234"


def test_another_process_gives_the_same_names():
    """A SEG that arrives a month later in another process still resolves to its image."""
    names = Pseudonymizer(KEY)
    ours = f"{names.uid(UID)} {names.patient('4711')} {names.reader('Doe^Jane')} {names.day_offset('4711')}"
    code = (
        "from racoon_data.deid.pseudonyms import Pseudonymizer as P; import sys;"
        f"n = P(bytes.fromhex('{KEY.hex()}')); i = '4711';"
        f"sys.stdout.write(f\"{{n.uid('{UID}')}} {{n.patient(i)}} {{n.reader('DOE^JANE^^')}} {{n.day_offset(i)}}\")"
    )

    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert theirs == ours


def test_another_key_gives_other_names():
    """Without the key nobody can compute a pseudonym."""
    one, other = Pseudonymizer(KEY), Pseudonymizer(KEY[::-1])

    assert one.uid(UID) != other.uid(UID)
    assert one.patient("4711") != other.patient("4711")


def test_uids_are_valid():
    """A mapped UID is 2.25 and a number without leading zeros, at most 44 characters."""
    names = Pseudonymizer(KEY)
    mapped = [names.uid(f"1.2.3.{n}") for n in range(2000)]

    assert len(set(mapped)) == 2000
    assert all(uid.startswith("2.25.") and len(uid) <= 44 and str(int(uid[5:])) == uid[5:] for uid in mapped)


@pytest.mark.parametrize("uid", ["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.4.1.1", "2.16.840.1.113883.6.96", ""])
def test_public_uids_stay(uid: str):
    """SOP classes, well-known frames of reference and code systems name nobody."""
    assert Pseudonymizer(KEY).uid(uid) == uid


def test_a_path_is_no_public_uid():
    """What only begins like a UID of the standard is hashed."""
    assert Pseudonymizer(KEY).uid("1.2.840.10008.1/../../x").startswith("2.25.")


def test_padding_does_not_change_names():
    """A trailing space or null, as files pad values, is no part of an identifier."""
    names = Pseudonymizer(KEY)

    assert names.uid(UID + "\0") == names.uid(UID)
    assert names.patient("4711 ") == names.patient("4711")


def test_patients_are_letters_and_digits():
    """A patient is P and twelve characters a folder name can hold."""
    patient = Pseudonymizer(KEY).patient("Müller/4711")

    assert len(patient) == 13
    assert patient.startswith("P")
    assert patient.isalnum()


def test_offsets_are_whole_days_and_never_zero():
    """Every patient gets an offset in ±1..3650 days, spread over the range."""
    names = Pseudonymizer(KEY)
    offsets = [names.day_offset(str(n)) for n in range(5000)]

    assert all(1 <= abs(offset) <= MAX_SHIFT_DAYS for offset in offsets)
    assert min(offsets) < -3500
    assert max(offsets) > 3500


@pytest.mark.parametrize("key", [b"", b"short", bytes(32), b"a" * 64, bytes(range(32)), b"password" * 8])
def test_weak_keys_are_refused(key: bytes):
    """A key that could be guessed would undo every pseudonym."""
    with pytest.raises(SettingsError):
        Pseudonymizer(key)


def test_the_key_is_not_shown():
    """A pseudonymizer can be logged without giving its key away."""
    shown = repr(Pseudonymizer(KEY))

    assert KEY.hex() not in shown
    assert repr(KEY) not in shown
