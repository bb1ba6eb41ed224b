"""The quick check of JSON documents never says yes where the full validator says no."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from racoon_data import schemas
from racoon_data.schema_check import fits

_LEAF = st.one_of(st.none(), st.booleans(), st.integers(-2, 3), st.sampled_from(["", "a", "b", 1.0, 0.5, -1.5]))
_DOCUMENT = st.recursive(
    _LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)
_RULE = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["object", "array", "string", "number", "integer", "null"])}),
    st.fixed_dictionaries({"minimum": st.integers(-1, 2), "exclusiveMaximum": st.integers(0, 3)}),
    st.fixed_dictionaries({"enum": st.lists(_LEAF, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"const": _LEAF}),
    st.fixed_dictionaries({"pattern": st.sampled_from(["^a", "b$"]), "minLength": st.integers(0, 1)}),
    st.fixed_dictionaries({"minItems": st.integers(0, 2), "maxItems": st.integers(1, 3)}),
    st.fixed_dictionaries({"anyOf": st.just([{"type": "null"}])}),
)
_SCHEMA = st.recursive(
    _RULE,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"items": inner}),
        st.fixed_dictionaries(
            {
                "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
                "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
                "additionalProperties": inner | st.booleans(),
            }
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(schema=_SCHEMA, document=_DOCUMENT)
def test_a_quick_yes_is_never_wrong(schema, document):
    """Whatever the schema and the document, a yes is the full validator's yes."""
    assert not fits(schema, document) or Draft202012Validator(schema).is_valid(document)


def test_a_volume_sidecar_is_decided_quickly():
    """The documents that conversion writes by the thousand need no full validator."""
    for name in ("volume-sidecar", "conversion"):
        example = json.loads((schemas.folder() / "examples" / f"{name}.json").read_text(encoding="utf-8"))
        assert fits(schemas.load(name), example)
        assert not fits(schemas.load(name), {**example, "schema_version": 7})
