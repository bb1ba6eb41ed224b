"""Whichever way the studies come, over a PACS that cuts its answers or over DICOMweb, the dataset is the same bytes."""

from __future__ import annotations

import pytest

from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.pacs.serve_web import WebService
from tests.journeys.steps import STUDY, a_patient, a_study, files_of, racoon, walk
from tests.pacs.test_peers import ORTHANC, an_orthanc, free_port
from tests.pacs.test_web_peers import PLUGIN

PATIENTS = ("TWO-1", "THREE-1")


@pytest.fixture
def quiet(folder):
    """A folder whose archive of three patients was walked once, its dataset's files, and a site without them again."""
    for name in PATIENTS:
        a_patient(folder / "archive", name)
    walk(folder, expect=0)
    files = files_of(folder / "site" / "datasets" / "lung")
    for name in ("datasets", "work", "spool", "ledger.sqlite"):
        (folder / "site" / name).rename(folder / f"old-{name}")
    return folder, files


def walk_from(folder, node, tables):
    """Add nodes to the site, walk from one of them, and give the account and the dataset's files."""
    settings = folder / "site" / "racoon.toml"
    settings.write_text(settings.read_text() + tables)
    study = a_study(folder, STUDY + f'[query]\nnode = "{node}"\n')
    said = racoon("run", study, "--site", folder / "site", "--json")
    assert said.exit_code == 0, said.err[-1500:] + said.out[-3000:]
    return said.document, files_of(folder / "site" / "datasets" / "lung")


def test_over_a_web_node(quiet):
    """From the DICOMweb side of the embedded PACS alone."""
    folder, files = quiet
    with EmbeddedPacs(folder / "archive") as pacs, WebService(pacs) as web:
        account, walked = walk_from(folder, "archive", f'\n[web.archive]\nurl = "{web.url}"\n')

    assert account["stages"][0]["failed"] == 0
    assert walked == files


@ORTHANC
@pytest.mark.parametrize("node", ["capped", "web"])
def test_over_a_capped_orthanc(quiet, node):
    """Orthanc cuts every answer off at two; racoon splits, and no patient is missing. Its DICOMweb gives the same."""
    folder, files = quiet
    http = free_port()
    further = {"HttpPort": http, "AuthenticationEnabled": False, "LimitFindResults": 2, "LimitFindInstances": 20}
    if node == "web":
        if not PLUGIN.exists():
            pytest.skip("orthanc-dicomweb is not installed")
        further |= {"Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True}}
    with an_orthanc(folder, **further) as orthanc:
        tables = (
            f'\n[nodes.capped]\nport = {orthanc.port}\nae_title = "ORTHANC"\n'
            f'[web.web]\nurl = "http://127.0.0.1:{http}/dicom-web"\n'
        )
        address = ("--host", "127.0.0.1", "--port", orthanc.port, "--ae-title", "ORTHANC")
        assert racoon("pacs", "push", "capped", folder / "archive", *address).exit_code == 0
        account, walked = walk_from(folder, node, tables)

    assert account["stages"][0]["failed"] == 0
    assert walked == files
