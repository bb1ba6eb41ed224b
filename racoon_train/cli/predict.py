"""``racoon train predict``: label maps on the images' grid, and on request SEG and SR ready to push."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from racoon_data import console
from racoon_data.errors import ExitCode, JobMismatchError, SettingsError
from racoon_data.errors import worst as worst_of

if TYPE_CHECKING:
    from racoon_train.checkpoints import Model
    from racoon_train.data.sources import SourceCase
    from racoon_train.predict import Predicted


def predict(
    model: Annotated[Path, typer.Argument(help="Weights (.safetensors) with the model card beside them.")],
    source: Annotated[
        Path, typer.Argument(help="A dataset, a folder of images (CASE_0000.nii.gz by channel), or one image.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for CASE.nii.gz and CASE.json.")],
    split: Annotated[str, typer.Option("--split", help="Of a dataset: train, test or all.")] = "all",
    dicom: Annotated[
        Path | None,
        typer.Option("--dicom", help="DICOM images (or a folder of them a case, by its name): write SEG and SR too."),
    ] = None,
    labels: Annotated[Path | None, typer.Option("--labels", help="Label schema with codes, for --dicom.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check model and images, predict nothing.")] = False,
) -> None:
    """Predict label maps. Example: racoon train predict model.safetensors datasets/lung --out predicted --json."""
    from racoon_train.checkpoints import load_model
    from racoon_train.data.sources import source_cases
    from racoon_train.predict import predict_cases

    if split not in ("train", "test", "all"):
        raise SettingsError(f"there is no split {split!r}", hint="train, test or all")
    opened = load_model(model)
    schema = _schema(labels, opened) if dicom is not None else None
    cases = source_cases(source, split=split)
    if dry_run:
        opened.network()
        _show_plan(opened, cases, as_json=as_json)
        return
    with console.progress(as_json=as_json) as listener:
        predicted = predict_cases(model, cases, out, on_event=listener)
    exports = {}
    if dicom is not None and schema is not None:
        exports = {name: _export(name, predicted, dicom, schema, opened) for name in predicted.predictions}
    _show(predicted, exports, as_json=as_json)
    codes = [ExitCode.PARTIAL for outcome in predicted.outcomes if outcome.code]
    codes += [ExitCode(export["exit_code"]) for export in exports.values() if export["exit_code"] != ExitCode.NOTHING]
    if code := worst_of(codes):
        raise typer.Exit(code)


def _schema(path: Path | None, model: Model) -> Path:
    """Check that the codes to be written are those of the model's labels.

    Raises:
        JobMismatchError: Names and values differ.
        SchemaError: The file does not validate.
        SettingsError: None was given.
    """
    from racoon_data import schemas
    from racoon_data.documents import read_json

    if path is None:
        raise SettingsError("a segmentation needs codes", hint="--labels: the label schema the dataset was built with")
    if not path.is_file():
        raise SettingsError(f"{path} does not exist", hint="name an existing label schema")
    document = read_json(path)
    schemas.validate("label-schema", document)
    known = {entry["name"]: entry["value"] for entry in document["labels"]}
    wrong = [
        f"{label.name}: model {label.value}, schema {known.get(label.name, 'absent')}"
        for label in model.job.labels
        if known.get(label.name) != label.value
    ]
    if wrong:
        raise JobMismatchError(f"labels differ: {'; '.join(wrong)}", hint="use the schema the model was trained with")
    return path


def _export(case: str, predicted: Predicted, dicom: Path, schema: Path, model: Model) -> dict[str, Any]:
    """Let the annotations room write SEG and SR, by its own command on files: rooms do not import each other."""
    prediction = predicted.predictions[case]
    images = dicom / case if (dicom / case).is_dir() else dicom
    out = predicted.folder / "dicom" / case
    version = f"{prediction.model_sha256[:12]}"
    command = [sys.executable, "-m", "racoon_data", "annotations", "export", str(predicted.folder / prediction.label)]
    command += [str(images), str(out), "--labels", str(schema)]
    command += ["--algorithm", model.job.name, "--algorithm-version", version]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        console.talk(f"{case}: {done.stderr.strip()}")
    files = sorted(path.name for path in out.glob("*.dcm")) if not done.returncode else []
    known = done.returncode in set(ExitCode)
    return {"folder": str(out), "files": files, "exit_code": done.returncode if known else int(ExitCode.BUG)}


def _show_plan(model: Model, cases: tuple[SourceCase, ...], *, as_json: bool) -> None:
    rows = [[case.case_id, len(case.images)] for case in cases]
    if as_json:
        listed = [{"case_id": name, "channels": channels} for name, channels in rows]
        console.document({"model": model.weights.name, "learned": list(model.learned), "cases": listed})
    else:
        console.table(["case", "channels"], rows, title=f"{model.weights.name} knows {', '.join(model.learned)}")


def _show(predicted: Predicted, exports: dict[str, dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        found = [prediction.model_dump(mode="json") for prediction in predicted.predictions.values()]
        outcomes = [outcome.to_json() for outcome in predicted.outcomes]
        console.document(
            {
                "out": str(predicted.folder),
                "predictions": found,
                "reused": list(predicted.reused),
                "exports": exports,
                "outcomes": outcomes,
            }
        )
        return
    for case, prediction in predicted.predictions.items():
        volumes = ", ".join(f"{name} {ml:.2f} ml" for name, ml in prediction.label_ml.items())
        console.result(f"{predicted.folder / prediction.label}: {volumes}")
        if case in exports and exports[case]["files"]:
            console.result(f"  {exports[case]['folder']}: {', '.join(exports[case]['files'])}")
    for outcome in predicted.outcomes:
        if outcome.code:
            console.talk(f"{outcome.ref}: {outcome.message} ({outcome.code}); {outcome.hint}")
