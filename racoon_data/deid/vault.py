"""The vault: the secret key in a file that its owner alone can read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from racoon_data.deid.pseudonyms import KEY_BYTES, refuse_weak
from racoon_data.errors import SettingsError
from racoon_data.files.atomic import make_folder, storage_errors

KEY_NAME = "deid.key"


def create_key(vault: Path) -> bytes:
    """Make a new key and keep it in the vault folder.

    Args:
        vault: Folder for the key; made if absent, and closed to others (0700).

    Returns:
        32 random bytes.

    Raises:
        SettingsError: A key is there already; a new key would break every link to earlier data.
    """
    make_folder(vault)
    vault.chmod(0o700)
    key = secrets.token_bytes(KEY_BYTES)
    try:
        handle = os.open(vault / KEY_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError as error:
        raise SettingsError("the vault holds a key already", hint="use it; a new key starts a new project") from error
    with storage_errors(KEY_NAME), os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(key.hex() + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    return key


def load_key(vault: Path) -> bytes:
    """Read the key of a vault folder.

    Raises:
        SettingsError: There is none, others can read it, or it is weak.
    """
    return read_key_file(vault / KEY_NAME)


def read_key_file(path: Path) -> bytes:
    """Read a key file: 64 or more hexadecimal characters.

    Raises:
        SettingsError: It is absent, open to others, no key or a weak one. The message never shows it.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
        key = bytes.fromhex(text)
    except FileNotFoundError as error:
        hint = "put back the copy you keep; without one: racoon deid key FOLDER, and all pseudonyms change"
        raise SettingsError("there is no de-identification key", hint=hint) from error
    except (OSError, ValueError) as error:
        raise SettingsError("the key file cannot be used", hint="it holds 64 hexadecimal characters") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError("others can read the key file", hint=f"chmod 600 {path.name}")
    refuse_weak(key)
    return key
