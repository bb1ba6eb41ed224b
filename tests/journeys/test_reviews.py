"""A person rejects a case in the viewer; the next build leaves it out and says so, until it is accepted again."""

import json
import signal
import subprocess
import sys
import urllib.request

import pytest

from racoon_data.files.manifest import load_manifest
from tests.journeys.steps import a_patient, racoon, reasons, walk


def _say(url, case_id, verdict):
    request = urllib.request.Request(
        f"{url}api/datasets/lung/{case_id}/review",
        json.dumps({"verdict": verdict, "comment": "as seen"}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_rejected_case_stays_out_until_it_is_accepted(folder):
    """Accept, reject and accept again through the served viewer decide what the next build holds."""
    for name in ("ONE-1", "TWO-1"):
        a_patient(folder / "archive", name)
    walk(folder, expect=0)
    root = folder / "site" / "datasets" / "lung"
    first = [case.case_id for case in load_manifest(root).cases]
    command = [sys.executable, "-m", "racoon_data", "serve", "lung", "--site", folder / "site", "--json"]
    with subprocess.Popen([*command, "--reviewer", "R1"], stdout=subprocess.PIPE, text=True) as server:
        try:
            told = json.loads(server.stdout.readline())
            assert told["can_review"]
            assert _say(told["url"], first[0], "rejected")["reviewer"] == "R1"
            account = walk(folder, expect=0)
            assert reasons(account, "cases") == {"case.rejected": 1}
            manifest = load_manifest(root)
            assert [case.case_id for case in manifest.cases] == first[1:]
            assert [(end.ref.endswith(first[0]), end.status) for end in manifest.outcomes if end.step == "review"]
            _say(told["url"], first[1], "open")
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(10) == 0


def test_a_case_that_is_out_can_be_taken_back(folder):
    """What was rejected at the command line is listed, and comes back when the review is withdrawn."""
    for name in ("ONE-1", "TWO-1"):
        a_patient(folder / "archive", name)
    walk(folder, expect=0)
    site, root = folder / "site", folder / "site" / "datasets" / "lung"
    case = load_manifest(root).cases[0].case_id
    said = racoon("qc", "review", "lung", case, "--verdict", "rejected", "--comment", "blurred", "--site", site)
    assert said.exit_code == 0, said.err
    walk(folder, expect=0)
    listed = racoon("qc", "review", "lung", "--site", site, "--json").document
    assert [(one["case_id"], one["verdict"], one["comment"]) for one in listed] == [(case, "rejected", "blurred")]

    assert racoon("qc", "review", "lung", case, "--verdict", "open", "--site", site).exit_code == 0
    walk(folder, expect=0)
    assert case in [one.case_id for one in load_manifest(root).cases]


@pytest.mark.parametrize(
    "words", [("nobody", "--verdict", "open"), ("nobody", "--verdict", "burn"), ("--verdict", "open")]
)
def test_a_false_review_is_refused(folder, words):
    """An unknown case, an unknown verdict and a verdict without a case are usage errors with a remedy."""
    a_patient(folder / "archive", "ONE-1")
    walk(folder, expect=0)

    said = racoon("qc", "review", "lung", *words, "--site", folder / "site")

    assert (said.exit_code, "what helps" in said.err) == (3, True)
