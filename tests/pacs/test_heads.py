"""Whose instance a data set is, read from its first bytes: beside pydicom, and where the bytes are hostile."""

from io import BytesIO

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from racoon_data.errors import UnreadableError
from racoon_data.pacs.heads import file_is_whole, identity_in, is_whole
from racoon_data.pacs.part10 import identity_of
from racoon_data.testing.makers import a_series

IMPLICIT, EXPLICIT, BIG, DEFLATED = (
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99",
)  # fmt: skip


def a_head(*, undefined=True, private=b""):
    """A data set with sequences before its identity, items of defined or undefined length."""
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.9.9"
    inner.StudyInstanceUID = "6.6.6"
    nested = Dataset()
    nested.PurposeOfReferenceCodeSequence = Sequence([inner])
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"
    dataset.ReferencedImageSequence = Sequence([nested, inner])
    if private:
        dataset.add_new(0x00090010, "LO", "SOMEBODY")
        dataset.add_new(0x00091001, "UN", private)
    dataset.PatientID = "P"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.5"
    dataset.Rows = 5
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = undefined
            for item in element.value:
                item.is_undefined_length_sequence_item = undefined
    return dataset


def encoded(dataset, syntax):
    """The data set as it travels."""
    from pydicom.filebase import DicomBytesIO

    stream = DicomBytesIO()
    stream.is_little_endian = syntax != BIG
    stream.is_implicit_VR = syntax == IMPLICIT
    write_dataset(stream, dataset)
    return stream.getvalue()


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
@pytest.mark.parametrize("undefined", [True, False])
def test_the_identity_is_pydicoms(syntax, undefined):
    """Sequences of either length form before the UIDs are walked over, and a nested UID is not taken for the own."""
    data = encoded(a_head(undefined=undefined, private=b"\1\2" * 40), syntax)

    identity = identity_in(data, syntax, is_all=True)

    assert identity == identity_of(data, syntax)
    assert identity is not None
    assert (identity.ref.study_uid, identity.ref.series_uid, identity.ref.sop_uid) == ("1.2.3", "1.2.3.5", "1.2.3.4")


def test_a_beginning_asks_for_more():
    """Any cut before the identity is known gives ``None``, any later one the identity."""
    data = encoded(a_head(), EXPLICIT)
    answers = [identity_in(data[:size], EXPLICIT, is_all=False) for size in range(len(data) + 1)]

    first = next(size for size, answer in enumerate(answers) if answer is not None)
    assert first > data.index(b"1.2.3.5")
    assert all(answer == answers[-1] for answer in answers[first:])


def test_a_deflated_head_is_read_with_pydicom(tmp_path):
    """The encodings without random access go the slow way and give the same."""
    import zlib

    data = encoded(a_head(), EXPLICIT)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = packer.compress(data) + packer.flush()

    identity = identity_in(deflated, DEFLATED, is_all=True)

    assert identity is not None
    assert identity.ref.sop_uid == "1.2.3.4"
    assert identity_in(deflated, DEFLATED, is_all=False) is None


@given(st.binary(max_size=400), st.integers(0, 400), st.sampled_from([IMPLICIT, EXPLICIT]))
@settings(max_examples=300, deadline=None)
def test_damage_never_escapes(noise, at, syntax):
    """Whatever bytes come, the answer is an identity, a wish for more, or our own error."""
    data = bytearray(encoded(a_head(), syntax))
    data[at : at + len(noise)] = noise
    try:
        found = identity_in(bytes(data), syntax, is_all=True)
    except UnreadableError:
        found = None

    assert found is None or isinstance(found.ref.sop_uid, str)


def test_deep_nesting_is_hostile():
    """Sequences nested by the thousand end in an error, not in a full stack."""
    opening = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"

    with pytest.raises(UnreadableError, match="nested"):
        identity_in(opening * 5000, EXPLICIT, is_all=False)


def test_a_header_without_end_is_refused():
    """An element that claims gigabytes before the identity does not make us gather them."""
    claim = b"\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100" + b"\x09\x00\x10\x00" + (2**31).to_bytes(4, "little")

    assert identity_in(claim + bytes(1000), IMPLICIT, is_all=False) is None
    with pytest.raises(UnreadableError):
        identity_in(claim + bytes(5 * 2**20), IMPLICIT, is_all=False)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_data_set_cut_short_is_not_whole(syntax):
    """Only the full length counts as whole."""
    data = encoded(a_head(), syntax)

    assert is_whole(data, syntax)
    assert [size for size in range(len(data)) if is_whole(data[:size], syntax)][-1:] != [len(data) - 1]
    assert not is_whole(data[:-1], syntax)
    assert not is_whole(b"", syntax)


def test_a_file_that_a_power_failure_cut_is_not_whole(tmp_path):
    """A file that ends within its pixels is seen without reading them."""
    (path, *_) = a_series(tmp_path, slices=1).paths
    whole = path.read_bytes()
    assert file_is_whole(path)

    path.write_bytes(whole[: len(whole) // 2])
    assert not file_is_whole(path)
    path.write_bytes(whole[:200])
    assert not file_is_whole(path)
    path.write_bytes(b"")
    assert not file_is_whole(path)


def test_the_identity_of_a_made_file_is_what_pydicom_says(tmp_path):
    """A whole CT slice, header and pixels, gives its own UIDs."""
    (path, *_) = a_series(tmp_path, slices=1).paths
    dataset = pydicom.dcmread(path)
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    stream = BytesIO()
    dataset.save_as(stream)

    from racoon_data.pacs.part10 import dataset_bytes

    identity = identity_in(dataset_bytes(path), str(syntax), is_all=False)
    assert identity is not None
    assert identity.ref.sop_uid == dataset.SOPInstanceUID
