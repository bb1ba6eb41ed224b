"""The audit log of a site as this process writes it: in whose name, and sealed under a key of the vault."""

from __future__ import annotations

import os
import re

from racoon_data.deid.pseudonyms import derive
from racoon_data.deid.vault import KEY_NAME, load_key
from racoon_data.errors import SettingsError
from racoon_data.site.audit import AuditLog, Seal, account
from racoon_data.site.paths import Site

OPERATOR = "RACOON_OPERATOR"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")


def log_of(site: Site) -> AuditLog:
    """Give a site's audit log.

    The actor is the operator that ``RACOON_OPERATOR`` or the settings name, with the account, else the account alone.

    Raises:
        SettingsError: The vault's key cannot be used, or the operator's name is none.
    """
    operator = os.environ.get(OPERATOR, "") or site.settings.site.operator or ""
    if operator and not _NAME.fullmatch(operator):
        raise SettingsError(f"{OPERATOR} is no name", hint="letters, digits, spaces, . _ @ and -, at most 64")
    return AuditLog(site.audit, f"{operator}, {account()}" if operator else "", seal_of(site))


def seal_of(site: Site) -> Seal | None:
    """Give the seal of a site's audit log, ``None`` where there is no key yet."""
    if not (site.vault / KEY_NAME).exists():
        return None
    return Seal(derive(load_key(site.vault), "audit"), site.vault / "audit.lines")
