"""The wire against others: C-MOVE from Orthanc, at once and as a background job, and dcmtk over TLS."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner, Result

from racoon_data.cli.main import app
from racoon_data.errors import PacsRefusedError
from racoon_data.outcomes import Status
from racoon_data.pacs.accepting import Welcome
from racoon_data.pacs.commitment import commit_files
from racoon_data.pacs.node import echo
from racoon_data.pacs.part10 import dataset_bytes
from racoon_data.pacs.peer import PacsNode, Tls
from racoon_data.pacs.push import push
from racoon_data.pacs.receive import AnyRule
from racoon_data.pacs.receiving import Intake
from racoon_data.pacs.retrieve import retrieve
from racoon_data.pacs.storage_scp import StorageScp
from racoon_data.site.ledger import Ledger, Verdict
from tests.pacs.raw import free_port


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "the server ended early"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the server does not listen")


@contextmanager
def orthanc(folder: Path, **settings: object) -> Iterator[PacsNode]:
    """An Orthanc that may send to us by C-MOVE."""
    folder.mkdir()
    port, receive_port = free_port(), free_port()
    table = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "DicomAet": "ORTHANC", "DicomPort": port,
        "HttpPort": free_port(), "RemoteAccessAllowed": False, "DicomAlwaysAllowStore": True,
        "DicomModalities": {"racoon": ["RACOON", "127.0.0.1", receive_port]}, **settings,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(table))
    process = subprocess.Popen(
        [shutil.which("Orthanc") or "Orthanc", str(folder / "orthanc.json")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "TCP_NODELAY": "1"},
    )  # fmt: skip
    try:
        _wait_for(port, process)
        yield PacsNode(
            "orthanc", "127.0.0.1", port, "ORTHANC", timeout_s=10.0, retrieve="move", receive_port=receive_port
        )
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.peers("Orthanc")
@pytest.mark.parametrize("at_once", [True, False])
def test_orthanc_moves_a_study_to_us(archive, tmp_path, spool, ledger, at_once):
    """Orthanc sends while it answers, or answers first and sends as a job: the study is complete either way."""
    with orthanc(tmp_path / "orthanc", SynchronousCMove=at_once) as node:
        push(node, [*archive.ct.paths, *archive.ct_thick.paths])
        (verdict,) = retrieve(node, [archive.study], spool=spool, ledger=ledger)
        lost = sorted(spool.rglob("*.dcm"))[:2]
        for path in lost:
            path.unlink()
        (again,) = retrieve(node, [archive.study], spool=spool, ledger=ledger)

    sent = {
        uid: dataset_bytes(path)
        for made in (archive.ct, archive.ct_thick)
        for uid, path in zip(made.sop_uids, made.paths, strict=True)
    }
    assert (verdict.verdict, again.verdict, again.arrived) == (Verdict.COMPLETE, Verdict.COMPLETE, 10)
    assert {path.stem: dataset_bytes(path) for path in spool.rglob("*.dcm")} == sent


def _certificate(folder: Path, name: str) -> Tls:
    """A certificate of our own for 127.0.0.1, trusted by itself."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    (folder / f"{name}.pem").write_bytes(signed.public_bytes(pem))
    plain = serialization.NoEncryption()
    (folder / f"{name}.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain))
    return Tls(None, folder / f"{name}.pem", folder / f"{name}.key")


def test_a_push_over_tls_shows_certificates_on_both_sides(archive, tmp_path):
    """Our sender and our receiver know each other by certificate; a caller without one does not come in."""
    ours, theirs = _certificate(tmp_path, "ours"), _certificate(tmp_path, "theirs")
    ends: list[object] = []
    intake = Intake(tmp_path / "in", AnyRule(), on_end=ends.append)
    with StorageScp(Welcome("RECEIVER"), intake, tls=replace(theirs, ca=ours.certificate)) as scp:
        node = PacsNode("tls", "127.0.0.1", scp.port, "RECEIVER", timeout_s=5.0)
        shown = replace(node, tls=replace(ours, ca=theirs.certificate))
        outcomes = push(shown, archive.ct.paths)
        with pytest.raises(PacsRefusedError):
            push(replace(node, tls=Tls(ca=theirs.certificate)), archive.mr.paths[:1])
        with pytest.raises(PacsRefusedError):
            push(replace(node, tls=replace(ours, ca=ours.certificate)), archive.mr.paths[:1])

    assert [one.status for one in outcomes] == [Status.DONE] * 6
    assert len(ends) == 6


def test_a_node_named_by_address_may_be_encrypted(archive, tmp_path):
    """``--tls-ca``, ``--tls-certificate`` and ``--tls-key`` go with ``--host``; with a node of the site they do not."""
    ours, theirs = _certificate(tmp_path, "ours"), _certificate(tmp_path, "theirs")
    intake = Intake(tmp_path / "in", AnyRule(), on_end=lambda end: None)
    pem = ["--tls-ca", theirs.certificate, "--tls-certificate", ours.certificate, "--tls-key", ours.key]
    with StorageScp(Welcome("RECEIVER"), intake, tls=replace(theirs, ca=ours.certificate)) as scp:
        address = ["--host", "127.0.0.1", "--port", scp.port, "--ae-title", "RECEIVER", "--timeout", 5]
        sent = _pacs("push", "tls", archive.mr.paths[0], *address, *pem)
        plain = _pacs("push", "tls", archive.mr.paths[0], *address)
        named = _pacs("echo", "pacs", *pem)

    assert (sent.exit_code, plain.exit_code, named.exit_code) == (0, 4, 3)
    assert len(list((tmp_path / "in").rglob("*.dcm"))) == 1


def _pacs(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["pacs", *(str(argument) for argument in arguments)])


@pytest.mark.peers("dcmdump")
def test_storescp_of_dcmtk_takes_a_push_over_tls(archive, tmp_path):
    """dcmtk's storescp demands our certificate and stores what we send, byte for byte."""
    ours, theirs = _certificate(tmp_path, "ours"), _certificate(tmp_path, "theirs")
    (tmp_path / "got").mkdir()
    port = free_port()
    scp = subprocess.Popen(
        [
            "/usr/bin/storescp", "+tls", str(theirs.key), str(theirs.certificate), "+cf", str(ours.certificate),
            "+B", "-od", str(tmp_path / "got"), str(port),
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for(port, scp)
        tls = replace(ours, ca=theirs.certificate)
        node = PacsNode("dcmtk", "127.0.0.1", port, "STORESCP", timeout_s=10.0, tls=tls)
        seconds = echo(node)
        outcomes = push(node, archive.ct.paths)
    finally:
        scp.terminate()
        scp.wait(20)

    assert seconds > 0
    assert [one.status for one in outcomes] == [Status.DONE] * 6
    sent = sorted(dataset_bytes(path) for path in archive.ct.paths)
    assert sorted(dataset_bytes(path) for path in (tmp_path / "got").iterdir()) == sent


def test_a_push_goes_on_where_it_stopped(archive, tmp_path):
    """A ledger remembers what a node stored: the second push sends the rest alone."""
    ends: list[object] = []
    intake = Intake(tmp_path / "in", AnyRule(), on_end=ends.append)
    with StorageScp(Welcome("RECEIVER"), intake) as scp, Ledger(tmp_path / "sent.sqlite") as sent:
        node = PacsNode("receiver", "127.0.0.1", scp.port, "RECEIVER", timeout_s=5.0)
        push(node, archive.ct.paths[:4], ledger=sent)
        outcomes = push(node, archive.ct.paths, ledger=sent)

    assert [one.status for one in outcomes] == [Status.DONE] * 6
    assert len(ends) == 6


@pytest.mark.peers("Orthanc")
def test_orthanc_commits_to_what_it_keeps(archive, tmp_path):
    """Orthanc reports on an association of its own: what was pushed is kept, what was not is named."""
    with orthanc(tmp_path / "orthanc") as node:
        push(node, archive.ct.paths)
        kept = commit_files(node, archive.ct.paths)
        mixed = commit_files(node, [archive.ct.paths[0], archive.mr.paths[0]])

    assert (kept.kept, kept.failed) == (frozenset(archive.ct.sop_uids), {})
    assert mixed.kept == {archive.ct.sop_uids[0]}
    assert mixed.failed == {archive.mr.sop_uids[0]: 0x0112}
