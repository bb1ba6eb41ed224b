"""A start kit as one file: what a site writes of it, and what it checks before it dials."""

import socket
import ssl
import threading

import pytest

from racoon_data.errors import ExpiredCertificateError, FederationError, SettingsError, UnpinnedServerError
from racoon_train.federated.adapters.certificates import make_certificates
from racoon_train.federated.adapters.flower_processes import free_ports
from racoon_train.federated.adapters.nvflare_kits import kits_in
from racoon_train.federated.adapters.nvflare_member import check_kit, take_part, unpack_kit
from racoon_train.federated.adapters.nvflare_serving import invite
from racoon_train.federated.contract import join
from tests.train.makers import a_job

pytest.importorskip("nvflare")


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory):
    """A federation with two invitations; its server is on a port of this machine."""
    out = tmp_path_factory.mktemp("federation")
    [port] = free_ports(1)
    return out, port, invite(out, ["site-a", "site-b"], host="localhost", port=port)


def answering(port, folder, key):
    """A TLS server with a certificate, for one handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder, key)
    server = socket.create_server(("127.0.0.1", port))

    def answer():
        plain, _ = server.accept()
        try:
            with context.wrap_socket(plain, server_side=True) as stream:
                stream.recv(1)
        except OSError:
            plain.close()
        server.close()

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


def test_a_kit_arrives_whole_private_and_closed(coordinator, tmp_path):
    """The site has its four files, readable by itself alone, its own policy, and the fingerprint to compare."""
    out, port, invitations = coordinator
    file, fingerprint = invitations["site-a"]

    kit = unpack_kit(file, tmp_path)

    made = kits_in(out / "nvflare", ["site-a"]).sites["site-a"] / "startup"
    assert {path.name for path in (kit.folder / "startup").iterdir()} == {
        "fed_client.json",
        "client.crt",
        "client.key",
        "rootCA.pem",
    }
    assert (kit.folder / "startup" / "client.key").read_bytes() == (made / "client.key").read_bytes()
    assert (kit.alias, kit.address, kit.fingerprint) == ("site-a", f"localhost:{port}", fingerprint)
    assert (kit.folder / "local" / "authorization.json").is_file()
    secrets = (file, kit.folder / "startup" / "client.key", out / "nvflare")
    assert all(path.stat().st_mode & 0o077 == 0 for path in secrets)


def test_a_later_invitation_keeps_the_authority(coordinator):
    """Inviting one site more changes neither the fingerprint nor the kit of who was there."""
    out, port, invitations = coordinator

    again = invite(out, ["site-a", "site-b", "site-c"], host="localhost", port=port)

    assert {fingerprint for _, fingerprint in again.values()} == {invitations["site-a"][1]}
    assert set(again) == {"site-a", "site-b", "site-c"}


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": "1.0", "alias": "../a"}', "no json"])
def test_what_is_no_kit_is_refused(text, tmp_path):
    """Nothing is written of a file that is no kit, least of all outside the folder."""
    file = tmp_path / "site.kit.json"
    file.write_text(text)

    with pytest.raises(SettingsError):
        unpack_kit(file, tmp_path / "home")

    assert not (tmp_path / "home").exists()


def test_the_pinned_server_passes_and_another_does_not(coordinator, tmp_path):
    """The right certificate takes a handshake; one of another authority is refused before anything is sent."""
    out, port, invitations = coordinator
    kit = unpack_kit(invitations["site-a"][0], tmp_path)
    server = kits_in(out / "nvflare", []).server / "startup"

    right = answering(port, server / "server.crt", server / "server.key")
    assert check_kit(kit) >= 0
    right.join()
    other = make_certificates(tmp_path / "other")
    wrong = answering(port, other.certificate, other.key)
    with pytest.raises(UnpinnedServerError):
        check_kit(kit)
    wrong.join()


def test_a_silent_server_is_a_clear_error(coordinator, tmp_path):
    """Nobody listens: the error names the address."""
    kit = unpack_kit(coordinator[2]["site-a"][0], tmp_path)

    with pytest.raises(FederationError) as caught:
        check_kit(kit)

    assert caught.value.ref == kit.address


def test_an_expired_certificate_is_refused(coordinator, tmp_path, monkeypatch):
    """A kit past its end is told from a server that does not answer."""
    from datetime import UTC, datetime

    from racoon_train.federated.adapters import nvflare_member

    kit = unpack_kit(coordinator[2]["site-a"][0], tmp_path)
    monkeypatch.setattr(nvflare_member, "valid_until", lambda path: datetime(2020, 1, 1, tzinfo=UTC))

    with pytest.raises(ExpiredCertificateError, match="2020-01-01"):
        check_kit(kit)


def test_a_kit_of_another_site_is_refused(coordinator, two_sites, tmp_path):
    """Site b cannot train under site a's name by mistake."""
    kit = unpack_kit(coordinator[2]["site-a"][0], tmp_path)
    site = join("site-b", two_sites["site-b"], a_job(), tmp_path)

    with pytest.raises(SettingsError, match="site-a"):
        take_part(kit, site, tmp_path)
