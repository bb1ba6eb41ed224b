"""Every schema is valid and versioned, fits its example, and refuses what is wrong."""

import copy
import json

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from racoon_data import schemas
from racoon_data.errors import SchemaError
from racoon_data.site.audit import AuditLog
from tests.schemas.write import MODELS, text_of

NAMES = schemas.names()
EXAMPLES = schemas.folder() / "examples"

# One wrong value for each schema: where (keys), and what stands there instead.
WRONG = {
    "audit-event": (("previous",), "short"),
    "case-sidecar": (("Geometry", "Orientation"), "RAX"),
    "comparison": (("cells", 0, "mean"), 1.5),
    "dataset-export": (("files",), -1),
    "dataset-manifest": (("cases", 0, "split"), "both"),
    "fault-plan": (("die_after",), -1),
    "federation-job": (("training", "rounds"), 0),
    "federation-preflight": (("free_disk_gib",), "plenty"),
    "federation-kit": (("key",), "no key"),
    "job-record": (("state",), "lost"),
    "run-account": (("stages", 0, "used"), -1),
    "site-status": (("bytes",), -1),
    "status-export": (("smallest_cell",), 1),
    "status-joined": (("datasets", 0, "stages", 0, "used", "at_least"), -1),
    "fingerprint": (("sites",), 0),
    "label-schema": (("labels", 0, "value"), 0),
    "label-file": (("masks", 0, "labels", 0, "value"), 0),
    "labels": (("labels", 0, "annotated"), "yes"),
    "measurement": (("group_kind",), "flat"),
    "model-card": (("kind",), "magic"),
    "outcome": (("status",), "lost"),
    "pacs-profile": (("methods", 0), "fax"),
    "pull-plan": (("studies", 0, "instances"), -1),
    "deid-profile": (("devices", 0, "rows"), 0),
    "qc-finding": (("severity",), "bad"),
    "report-mapping": (("format",), "pdf"),
    "quarantine-note": (("fate",), "lost"),
    "recipe": (("min_lesion_ml",), -1),
    "site-settings": (("nodes", "pacs", "port"), 70000),
    "prediction": (("label_ml", "ground_glass_opacity"), -1),
    "training-progress": (("done",), 0),
    "study-protocol": (("external", "style_px"), 9),
    "study-settings": (("test_fraction",), 1.5),
}


def example(name):
    """Read the example of a schema."""
    return json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))


def broken(name):
    """Give the example with its one wrong value."""
    document = copy.deepcopy(example(name))
    *path, last = WRONG[name][0]
    place = document
    for key in path:
        place = place[key]
    place[last] = WRONG[name][1]
    return document


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_and_versioned(name):
    """It is JSON Schema 2020-12, names itself with a version and says what it is for."""
    schema = schemas.load(name)

    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert schema["$id"].startswith(f"urn:racoon:schema:{name}:")
    assert schema.get("description") or schema.get("title")


@pytest.mark.parametrize("name", NAMES)
def test_its_example_fits(name):
    """The example beside each schema validates."""
    assert schemas.problems(name, example(name)) == ()


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_value_is_named(name):
    """One wrong value gives an error that names its place."""
    pointer = "/" + "/".join(map(str, WRONG[name][0]))

    with pytest.raises(SchemaError) as caught:
        schemas.validate(name, broken(name))

    assert f"{name}: {pointer}: " in caught.value.message


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_key_is_refused(name):
    """A misspelt key never passes unseen (an audit event may carry facts, but no tables)."""
    found = schemas.problems(name, {**example(name), "unheard_of": {"a": 1}})

    assert any("unheard_of" in problem.message or problem.pointer == "/unheard_of" for problem in found)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_schema_file_and_model_are_equal(name):
    """The shipped schema is the model's own (make schemas writes it)."""
    assert (schemas.folder() / f"{name}.schema.json").read_text(encoding="utf-8") == text_of(name)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_model_and_schema_judge_alike(name):
    """Model and schema accept the example and refuse the wrong value."""
    MODELS[name].model_validate(example(name))

    with pytest.raises(ValidationError):
        MODELS[name].model_validate(broken(name))


def test_a_remedy_guesses_the_misspelt_key():
    """A key with a slip of the finger gets the right one suggested."""
    document = example("site-settings")
    document["nodes"]["pacs"]["ae_titel"] = document["nodes"]["pacs"].pop("ae_title")

    found = schemas.problems("site-settings", document)

    assert [(problem.pointer, problem.remedy) for problem in found] == [("/nodes/pacs", "did you mean ae_title?")]


def test_an_unknown_schema_lists_the_known():
    """Asking for a schema that does not exist names those that do."""
    with pytest.raises(SchemaError) as caught:
        schemas.validate("dataset", {})

    assert "dataset-manifest" in caught.value.hint


def test_a_real_audit_event_fits(tmp_path):
    """What the audit log writes is what the schema says."""
    AuditLog(tmp_path / "audit.jsonl").append("deidentify", instances=3, profile="9f")

    line = json.loads((tmp_path / "audit.jsonl").read_text(encoding="utf-8"))

    assert schemas.problems("audit-event", line) == ()
