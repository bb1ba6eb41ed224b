"""What Flower distributes: a bundle that names installed entry points, signed by the coordinator; no code."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

from racoon_data.files.atomic import write_json, write_text

# No code travels: the bundle names entry points that every site has installed beforehand.
_BUNDLE = """\
[project]
name = "racoon-federation"
version = "1.0.0"
description = "Names the installed entry points of racoon"
license = "Apache-2.0"
dependencies = ["flwr>=1.41,<1.42"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.flwr.app]
publisher = "racoon"

[tool.flwr.app.components]
serverapp = "racoon_train.federated.adapters.flower_server:app"
clientapp = "racoon_train.federated.adapters.flower_client:app"

[tool.flwr.app.config]
job-sha256 = "{sha256}"
"""

PUBLISHER_ID = "fpk_racoon_coordinator"


def write_bundle(folder: Path, job_sha256: str) -> Path:
    """Write the bundle: one file."""
    write_text(folder / "pyproject.toml", _BUNDLE.format(sha256=job_sha256))
    return folder


def write_trusted(path: Path, publisher: str) -> None:
    """Write the only publisher a site trusts, as Flower's SuperNode reads it (YAML, of which JSON is a part).

    Args:
        path: The file.
        publisher: Public key, ``ssh-ed25519 ...``.
    """
    write_text(path, json.dumps({PUBLISHER_ID: publisher}) + "\n")


def sign_bundle(content: bytes, key: Path, out: Path) -> None:
    """Sign a built bundle and write what the SuperLink hands to SuperNodes with it.

    Flower signs bundles through its public hub alone; the signature is the same: Ed25519 over the time
    (8 bytes, big endian) and the SHA-256 of the bundle, as ``flwr.supercore`` verifies it.

    Args:
        content: The bundle as Flower packed it.
        key: Private key of the publisher (Ed25519, OpenSSH).
        out: File to write.
    """
    import hashlib

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    private = load_ssh_private_key(key.read_bytes(), None)
    assert isinstance(private, Ed25519PrivateKey)
    digest, now = hashlib.sha256(content), int(time.time())
    signature = private.sign(now.to_bytes(8, "big") + digest.digest())
    text = base64.urlsafe_b64encode(signature).rstrip(b"=").decode("ascii")
    proof = json.dumps({"signature": text, "signed_at": now})
    write_json(out, {"sha256": digest.hexdigest(), "verifications": {PUBLISHER_ID: proof, "valid_license": "Valid"}})
