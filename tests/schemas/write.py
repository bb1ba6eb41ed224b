"""Writes the schemas that are generated from models: ``make schemas``."""

from __future__ import annotations

import json

from pydantic import BaseModel

from racoon_data.annotations.tools.mapping import ReportMapping
from racoon_data.deid.profile import Profile
from racoon_data.faults import FaultPlan
from racoon_data.files.case_sidecar import CaseSidecar
from racoon_data.files.export_account import ExportAccount
from racoon_data.files.label_file import LabelFile
from racoon_data.files.manifest import Manifest
from racoon_data.harmonize.label_document import LabelDocument
from racoon_data.harmonize.recipe import Recipe
from racoon_data.pacs.planning import PullPlan
from racoon_data.pacs.profile import PacsProfile
from racoon_data.schemas import folder, of_model
from racoon_data.settings import SiteSettings, StudySettings
from racoon_data.site.records import JobRecord, RunAccount
from racoon_data.site.standing import JoinedStatus, SiteStatus, StatusExport
from racoon_train.demo.protocol import Protocol
from racoon_train.federated.adapters.nvflare_member import KitFile
from racoon_train.federated.preflight import Preflight
from racoon_train.fingerprint.document import Fingerprint
from racoon_train.job.job import Job
from racoon_train.predict import Prediction
from racoon_train.resume import Progress

MODELS: dict[str, type[BaseModel]] = {
    "dataset-manifest": Manifest,
    "case-sidecar": CaseSidecar,
    "dataset-export": ExportAccount,
    "label-file": LabelFile,
    "label-schema": LabelDocument,
    "recipe": Recipe,
    "report-mapping": ReportMapping,
    "site-settings": SiteSettings,
    "study-settings": StudySettings,
    "federation-job": Job,
    "study-protocol": Protocol,
    "federation-kit": KitFile,
    "federation-preflight": Preflight,
    "fingerprint": Fingerprint,
    "prediction": Prediction,
    "training-progress": Progress,
    "pacs-profile": PacsProfile,
    "pull-plan": PullPlan,
    "fault-plan": FaultPlan,
    "job-record": JobRecord,
    "run-account": RunAccount,
    "site-status": SiteStatus,
    "status-export": StatusExport,
    "status-joined": JoinedStatus,
    "deid-profile": Profile,
}


def text_of(name: str) -> str:
    """Give the text of a generated schema file."""
    return json.dumps(of_model(MODELS[name], name), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for schema in MODELS:
        (folder() / f"{schema}.schema.json").write_text(text_of(schema), encoding="utf-8")
