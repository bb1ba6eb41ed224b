"""The rules of a job: strategies by name with their parameters, and which arrays travel."""

import pytest

from racoon_data.errors import RacoonError
from racoon_train.job.job import job_from
from tests.train.makers import a_job

NAMES = ["fedavg", "fedprox", "fedavgm", "fedadam", "fedtrimmedavg", "krum", "scaffold"]


def a_document(**rules):
    """A job with these rules."""
    document = a_job().to_json()
    return {**document, "rules": {**document["rules"], **rules}}


@pytest.mark.parametrize("name", NAMES)
def test_a_strategy_is_chosen_by_name(name):
    """Its parameters have defaults, and another choice is another job to approve."""
    job = job_from(a_document(strategy={"name": name}))

    assert job.rules.strategy.name == name
    assert job_from(job.to_json()) == job
    assert (job.sha256 == a_job().sha256) == (name == "fedavg")


@pytest.mark.parametrize(
    "strategy",
    [{"name": "magic"}, {"name": "fedavg", "mu": 0.1}, {"name": "fedtrimmedavg", "beta": 0.5}, {}],
    ids=["unknown", "parameter of another", "trims everything", "nameless"],
)
def test_a_wrong_strategy_is_refused(strategy):
    """A strategy that does not exist or a parameter that is not its own stops the job."""
    with pytest.raises(RacoonError, match="strategy"):
        job_from(a_document(strategy=strategy))


def test_arrays_that_stay_are_named_by_pattern():
    """What holds the pattern stays; a pattern that cannot be read is refused."""
    rules = job_from(a_document(keep_local=["norm", r"\.bn\d"])).rules

    assert rules.travelling(["b.conv", "a.norm.weight", "a.bn1.bias", "a.conv"]) == ("a.conv", "b.conv")
    with pytest.raises(RacoonError, match="pattern"):
        job_from(a_document(keep_local=["("]))
