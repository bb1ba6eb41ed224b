"""A PACS's profile: what the doctor found out about it, kept in the site and used by later commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from racoon_data.documents import read_json
from racoon_data.errors import SchemaError
from racoon_data.files.atomic import write_json
from racoon_data.node_settings import Frozen
from racoon_data.pacs.peer import Node, PacsNode, any_node
from racoon_data.site.paths import Site

Count = Annotated[int, Field(ge=0)]


class Finding(Frozen):
    """One thing the doctor looked at: how it went, in a sentence, and what helps where it went badly."""

    check: str
    result: Literal["good", "limited", "bad", "unknown"]
    message: str
    remedy: str = ""


class Speed(Frozen):
    """What a retrieval reached: instances and megabytes per second, and the mean size of an instance (bytes)."""

    instances_per_s: Annotated[float, Field(ge=0)] = 0.0
    mb_per_s: Annotated[float, Field(ge=0)] = 0.0
    bytes_per_instance: Count = 0


class PacsProfile(Frozen):
    """The profile of one node.

    ``answer_cap`` is where it was seen to cut answers off (0: nowhere seen); ``largest_answer`` the answers of the
    largest query seen, by level. ``counts`` lists the count attributes it returns truly. ``methods`` lists the ways
    to retrieve it offers, the best first, without those that brought nothing when tried. ``transfer_syntaxes`` are
    accepted by SOP class. ``character_set`` is what its answers declare, ``is_character_set_true`` whether their
    bytes agree.
    """

    schema_version: Literal["1.0"] = "1.0"
    node: str
    address: str
    levels: tuple[Literal["PATIENT", "STUDY", "SERIES", "IMAGE"], ...] = ()
    answer_cap: Count = 0
    largest_answer: dict[str, Count] = Field(default_factory=dict)
    counts: tuple[str, ...] = ()
    methods: tuple[Literal["get", "move", "wado"], ...] = ()
    transfer_syntaxes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    character_set: str = ""
    is_character_set_true: bool = True
    web_services: tuple[Literal["qido", "wado", "stow"], ...] = ()
    speed: Speed = Speed()
    findings: tuple[Finding, ...] = ()


def profile_path(site: Site, name: str) -> Path:
    """Say where the profile of a node lies."""
    return site.root / "profiles" / f"{name}.json"


def load_profile(path: Path) -> PacsProfile | None:
    """Read a profile, ``None`` where there is none.

    Raises:
        SchemaError: The file is no profile.
    """
    try:
        return PacsProfile.model_validate(read_json(path))
    except FileNotFoundError:
        return None
    except (ValidationError, ValueError) as error:
        hint = "run racoon pacs doctor again"
        raise SchemaError(f"{path.name} is no profile of a PACS", hint=hint) from error


def write_profile(path: Path, profile: PacsProfile) -> None:
    """Write a profile whole or not at all."""
    write_json(path, profile.model_dump(mode="json"))


def known_node(name: str, site: Site) -> Node:
    """Take a node of any kind from a site, with what its profile knows.

    Raises:
        SettingsError: There is no node of this name.
        SchemaError: Its profile is damaged.
    """
    node = any_node(name, site.settings, base=site.root)
    profile = load_profile(profile_path(site, name))
    return knowing(node, profile) if isinstance(node, PacsNode) and profile else node


def knowing(node: PacsNode, profile: PacsProfile) -> PacsNode:
    """Add what a profile knows; what the settings say comes first, and a profile of another address is not used."""
    if profile.address != node.address:
        return node
    return replace(
        node,
        answer_cap=node.answer_cap or profile.answer_cap,
        largest_answer=dict(profile.largest_answer),
        retrieve=node.retrieve if node.retrieve != "auto" else next(iter(profile.methods), "auto"),
        is_profiled=True,
    )
