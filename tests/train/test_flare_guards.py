"""FLARE's server-side parts, fed by hand: what passes the guards, who is named, what is on disk."""

import json

import numpy as np
import pytest

pytest.importorskip("nvflare")

from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.fl_constant import ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.app_common.app_constant import AppConstants

from racoon_data.errors import QuorumLostError
from racoon_train.checkpoints import load_weights
from racoon_train.federated.adapters.nvflare_average import GuardedAverage, RoundStore
from racoon_train.federated.adapters.nvflare_client import CLASSES, LOST, METRICS
from racoon_train.federated.adapters.nvflare_serving import lay_out
from racoon_train.federated.rounds import RoundLog, round_file
from racoon_train.networks import initial_weights
from tests.train.makers import a_job

JOB = a_job(quorum=2)
START = initial_weights(JOB)
NAME = next(iter(START))


@pytest.fixture
def out(tmp_path, monkeypatch):
    """A federation's folder, as the server's process finds it."""
    lay_out(JOB, tmp_path, ["a", "b", "c"], anew=True)
    monkeypatch.setenv("RACOON_FEDERATION_OUT", str(tmp_path))
    return tmp_path


def in_round(number):
    """FLARE's context of a round, counted from 1."""
    context = FLContext()
    context.set_prop(AppConstants.CURRENT_ROUND, number - 1, private=True, sticky=True)
    return context


def a_reply(alias, weights=None, *, examples=3, meta=None, code=None):
    """What FLARE hands over from a site."""
    facts = {MetaKey.NUM_STEPS_CURRENT_ROUND: examples, METRICS: {"loss": 0.5}, CLASSES: {"lesion": examples}}
    reply = DXO(DataKind.WEIGHTS, data=START if weights is None else weights, meta=meta or facts).to_shareable()
    if code:
        reply = DXO(DataKind.METRICS, data={"none": 0.0}, meta={LOST: code}).to_shareable()
    reply.set_peer_props({ReservedKey.IDENTITY_NAME: alias})
    return reply


BAD = {
    "nan": {**START, NAME: np.full_like(START[NAME], np.nan)},
    "shape": {**START, NAME: np.zeros(7, np.float32)},
    "names": {"other": START[NAME]},
    "huge": {name: array * np.float32(1e6) for name, array in START.items()},
    "no arrays": {**START, NAME: "a string"},
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_update_is_left_out_and_its_site_named(kind, out):
    """What no honest training gives is refused by code; the others' mean does not see it."""
    average, context = GuardedAverage(), in_round(1)
    average.parcel(START, 1)

    taken = [average.accept(a_reply(alias, BAD[kind] if alias == "b" else None), context) for alias in "abc"]

    assert taken == [True, False, True]
    assert average.lost == {"b": "federation.payload"}
    mean = from_shareable(average.aggregate(context)).data
    assert all(np.allclose(mean[name], START[name]) for name in START)


def test_codes_and_errors_are_named_and_nothing_of_their_text_is_kept(out):
    """A site's own code is taken over if it looks like one; a path or an exception's text never is."""
    average, context = GuardedAverage(), in_round(1)
    average.parcel(START, 1)
    broken = make_reply(ReturnCode.EXECUTION_EXCEPTION)
    broken.set_peer_props({ReservedKey.IDENTITY_NAME: "c"})

    average.accept(a_reply("a", code="dataset.error"), context)
    average.accept(a_reply("b", code="/home/doe/scan failed"), context)
    average.accept(broken, context)

    assert average.lost == {"a": "dataset.error", "b": "federation.site_error", "c": "federation.site_error"}
    with pytest.raises(QuorumLostError):
        average.aggregate(context)


@pytest.mark.parametrize("meta", [{}, {METRICS: 5}, {METRICS: {}, CLASSES: {}, MetaKey.NUM_STEPS_CURRENT_ROUND: 0}])
def test_an_update_without_examples_is_refused(meta, out):
    """Missing, malformed and impossible facts are refused like bad weights."""
    average = GuardedAverage()
    average.parcel(START, 1)

    assert average.accept(a_reply("a", meta=meta or {"x": 1}), in_round(1)) is False
    assert average.lost == {"a": "federation.payload"}


def test_a_site_counts_once(out):
    """A second answer of the same site in a round adds nothing."""
    average, context = GuardedAverage(), in_round(1)
    average.parcel(START, 1)

    assert average.accept(a_reply("a"), context)
    assert not average.accept(a_reply("a", examples=1000), context)


def test_a_reply_that_is_no_dxo_is_refused(out):
    """An empty message ends as a code."""
    average, reply = GuardedAverage(), Shareable()
    reply.set_peer_props({ReservedKey.IDENTITY_NAME: "a"})
    average.parcel(START, 1)

    assert not average.accept(reply, in_round(1))
    assert average.lost == {"a": "federation.payload"}


def test_a_restarted_server_goes_on_from_the_last_whole_round(out):
    """A round counts once its model and its account are both on disk, as safetensors and JSON."""
    store, later = RoundStore(), {name: array + 1 for name, array in START.items()}
    store.save_model({"weights": later}, in_round(1))
    unaccounted = store.load_model(in_round(1))["weights"]
    RoundLog(out).write(1, losses={"a": 0.5}, lost={})
    accounted = store.load_model(in_round(2))["weights"]

    assert np.array_equal(unaccounted[NAME], START[NAME])
    assert np.array_equal(accounted[NAME], later[NAME])
    assert np.array_equal(load_weights(round_file(out, 1))[NAME], later[NAME])
    assert json.loads((out / "rounds.json").read_text())["rounds"][0]["round"] == 1


def test_integer_buffers_come_back_as_integers(out):
    """A counter of batches is averaged and rounded, not turned into a float."""
    average, context = GuardedAverage(), in_round(1)
    start = {**START, "n": np.array(3, np.int64)}
    average.parcel(start, 1)
    for alias, count in (("a", 4), ("b", 5)):
        assert average.accept(a_reply(alias, {**start, "n": np.array(count, np.int64)}), context)

    mean = from_shareable(average.aggregate(context)).data
    assert (mean["n"].dtype, mean["n"].shape) == (np.int64, ())


def test_memory_does_not_grow_with_the_number_of_sites(out):
    """Two sites or twenty: the same number of arrays is held."""

    def held(sites):
        average, context = GuardedAverage(), in_round(1)
        average.parcel(START, 1)
        for number in range(sites):
            average.accept(a_reply(f"s{number}"), context)
        return sum(array.nbytes for array in average._combiner._sum.total.values())

    assert held(20) == held(2)
