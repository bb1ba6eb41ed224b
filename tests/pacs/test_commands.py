"""Command sets and file heads: our bytes beside pynetdicom's and pydicom's."""

from io import BytesIO

import pytest
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID
from pynetdicom import dimse_messages, dimse_primitives
from pynetdicom.dsutils import encode as reference_encode

from racoon_data.errors import PacsProtocolError
from racoon_data.pacs import commands
from racoon_data.pacs.commands import Command, encode
from racoon_data.pacs.part10 import IMPLEMENTATION_UID, file_head

CT = "1.2.840.10008.5.1.4.1.1.2"


def reference(primitive):
    """The command set as pynetdicom encodes it."""
    message = getattr(dimse_messages, f"{type(primitive).__name__}_RQ")()
    if primitive.Status is not None:
        message = getattr(dimse_messages, f"{type(primitive).__name__}_RSP")()
    message.primitive_to_message(primitive)
    return reference_encode(message.command_set, True, True)


def store_request():
    """A C-STORE request of pynetdicom and ours."""
    theirs = dimse_primitives.C_STORE()
    theirs.MessageID, theirs.Priority = 7, 2
    theirs.AffectedSOPClassUID, theirs.AffectedSOPInstanceUID = CT, "1.2.3"
    theirs.MoveOriginatorApplicationEntityTitle, theirs.MoveOriginatorMessageID = "MOVER", 9
    theirs.DataSet = BytesIO(b"\x08\x00")
    ours = {
        commands.AFFECTED_CLASS: CT, commands.FIELD: commands.C_STORE, commands.MESSAGE_ID: 7, commands.PRIORITY: 2,
        commands.DATA_SET: commands.HAS_DATA_SET, commands.AFFECTED_UID: "1.2.3",
        commands.ORIGINATOR_TITLE: "MOVER", commands.ORIGINATOR_ID: 9,
    }  # fmt: skip
    return theirs, ours


def store_response():
    """A C-STORE response of pynetdicom and ours."""
    theirs = dimse_primitives.C_STORE()
    theirs.MessageIDBeingRespondedTo, theirs.Status = 7, 0xA700
    theirs.AffectedSOPClassUID, theirs.AffectedSOPInstanceUID = CT, "1.2.34"
    ours = {
        commands.AFFECTED_CLASS: CT, commands.FIELD: commands.C_STORE | commands.RESPONSE, commands.ANSWERED_ID: 7,
        commands.DATA_SET: commands.NO_DATA_SET, commands.STATUS: 0xA700, commands.AFFECTED_UID: "1.2.34",
    }  # fmt: skip
    return theirs, ours


def get_request():
    """A C-GET request of pynetdicom and ours."""
    theirs = dimse_primitives.C_GET()
    theirs.MessageID, theirs.Priority, theirs.AffectedSOPClassUID = 1, 0, "1.2.840.10008.5.1.4.1.2.2.3"
    theirs.Identifier = BytesIO(b"\x08\x00")
    ours = {
        commands.AFFECTED_CLASS: "1.2.840.10008.5.1.4.1.2.2.3", commands.FIELD: commands.C_GET,
        commands.MESSAGE_ID: 1, commands.PRIORITY: 0, commands.DATA_SET: commands.HAS_DATA_SET,
    }  # fmt: skip
    return theirs, ours


def move_request():
    """A C-MOVE request of pynetdicom and ours."""
    theirs = dimse_primitives.C_MOVE()
    theirs.MessageID, theirs.Priority, theirs.AffectedSOPClassUID = 1, 0, "1.2.840.10008.5.1.4.1.2.2.2"
    theirs.MoveDestination, theirs.Identifier = "RACOON", BytesIO(b"\x08\x00")
    ours = {
        commands.AFFECTED_CLASS: "1.2.840.10008.5.1.4.1.2.2.2", commands.FIELD: commands.C_MOVE,
        commands.MESSAGE_ID: 1, commands.PRIORITY: 0, commands.DATA_SET: commands.HAS_DATA_SET,
        commands.DESTINATION: "RACOON",
    }  # fmt: skip
    return theirs, ours


@pytest.mark.parametrize("pair", [store_request, store_response, get_request, move_request])
def test_our_command_sets_are_pynetdicoms(pair):
    """Each kind of message is encoded to the same bytes, padding of UIDs and titles included."""
    theirs, ours = pair()

    assert encode(ours) == reference(theirs)


def test_a_command_set_reads_back():
    """Numbers, texts and absences come back from the bytes of pynetdicom."""
    command = Command(reference(store_request()[0]))

    assert (command.field, command.has_data_set) == (commands.C_STORE, True)
    assert (command.text(commands.AFFECTED_UID), command.text(commands.ORIGINATOR_TITLE)) == ("1.2.3", "MOVER")
    assert (command.number(commands.MESSAGE_ID), command.number(commands.STATUS, 5)) == (7, 5)


@pytest.mark.parametrize("wrong", [b"", b"\0" * 12, b"\0\0\0\1\xff\xff\xff\xff", encode({commands.FIELD: 1})[:-1]])
def test_what_is_no_command_set_is_refused(wrong):
    """A cut or senseless command ends in an error of ours, never in another."""
    with pytest.raises(PacsProtocolError):
        Command(wrong)


@pytest.mark.parametrize("sop_uid", ["1.2.3", "1.2.34", "1.2/../x"])
def test_a_file_head_is_what_pydicom_reads(tmp_path, sop_uid):
    """Preamble and meta information read back with pydicom, odd and even lengths alike."""
    head = file_head(CT, sop_uid, "1.2.840.10008.1.2.1")
    (tmp_path / "head.dcm").write_bytes(head)

    meta = read_file_meta_info(tmp_path / "head.dcm")

    assert (str(meta.MediaStorageSOPInstanceUID), str(meta.TransferSyntaxUID)) == (sop_uid, "1.2.840.10008.1.2.1")
    assert meta.ImplementationClassUID == UID(IMPLEMENTATION_UID)
    assert meta.FileMetaInformationGroupLength == len(head) - 144
