"""What sites answer over FLARE, read without trust: an update, a document, numbers, or a code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from nvflare.apis.dxo import DataKind, MetaKey, from_shareable
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import Shareable

from racoon_data.documents import parse_json
from racoon_data.errors import PayloadError
from racoon_train.federated.adapters.nvflare_client import CLASSES, DOCUMENT, LOST, METRICS
from racoon_train.federated.preflight import Preflight
from racoon_train.federated.update import Update

_SITE_ERROR = "federation.site_error"


def update_of(reply: Shareable) -> Update | str:
    """Give the update of a reply, or the code its site sent instead.

    Raises:
        PayloadError: It is neither.
    """
    found = _opened(reply)
    if isinstance(found, str):
        return found
    data, meta = found
    if not isinstance(data, dict) or not all(isinstance(value, np.ndarray) for value in data.values()):
        raise PayloadError("the update holds no arrays", hint="install the same racoon version")
    try:
        classes = {str(name): int(value) for name, value in meta[CLASSES].items()}
        update = Update(data, int(meta[MetaKey.NUM_STEPS_CURRENT_ROUND]), numbers(meta), classes)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise PayloadError("the update lacks examples or metrics", hint="install the same racoon version") from error
    return update


def document_of(reply: Shareable) -> Preflight | str:
    """Give the pre-flight of a reply, or the code its site sent instead."""
    try:
        found = _opened(reply)
        return found if isinstance(found, str) else Preflight.model_validate(parse_json(str(found[1][DOCUMENT])))
    except (PayloadError, KeyError, ValueError):
        return PayloadError.code


def numbers_of(reply: Shareable) -> dict[str, float] | str:
    """Give the numbers of a reply, or the code its site sent instead."""
    try:
        found = _opened(reply)
        return found if isinstance(found, str) else numbers(found[1])
    except (PayloadError, KeyError, ValueError, TypeError, AttributeError):
        return PayloadError.code


def numbers(meta: Mapping[str, Any]) -> dict[str, float]:
    """Give the numbers a site sent."""
    return {str(name): float(value) for name, value in meta[METRICS].items()}


def known_code(code: object) -> str:
    """Give a site's error code if it looks like one; nothing else of it is written down."""
    text = str(code)
    plain = text.replace(".", "").replace("_", "")
    return text if len(text) < 60 and plain.isascii() and plain.isalpha() and text.islower() else _SITE_ERROR


def _opened(reply: Shareable) -> tuple[Any, dict[str, Any]] | str:
    code = reply.get_return_code()
    if code and code != ReturnCode.OK:
        return _SITE_ERROR
    try:
        dxo = from_shareable(reply)
    except (ValueError, TypeError, KeyError) as error:
        raise PayloadError("the reply holds nothing we know", hint="install the same racoon version") from error
    meta: dict[str, Any] = dxo.meta or {}
    if LOST in meta:
        return known_code(meta[LOST])
    return (None if dxo.data_kind == DataKind.METRICS else dxo.data), meta
