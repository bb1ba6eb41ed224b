"""Errors carry codes, references and hints, also across processes."""

import pickle

import pytest

from racoon_data.errors import ExitCode, MissingSlicesError, PacsError, about, worst
from racoon_data.refs import StudyRef


def test_context_is_attached_once():
    """The innermost reference wins."""
    with pytest.raises(PacsError) as caught, about(StudyRef("1.2")), about(StudyRef("1.2.3")):
        raise PacsError("no answer")

    assert caught.value.ref == StudyRef("1.2.3")


def test_an_error_survives_a_process_border():
    """A worker's error arrives with everything it carried."""
    error = pickle.loads(pickle.dumps(MissingSlicesError("gap", missing=(7,), ref=StudyRef("1"), hint="look")))

    assert (error.missing, error.ref, error.hint) == ((7,), StudyRef("1"), "look")


def test_the_worst_exit_code_is_reported():
    """A refused privacy rule outranks a partial result; nothing at all is success."""
    assert worst([ExitCode.PARTIAL, ExitCode.POLICY, ExitCode.QUALITY]) is ExitCode.POLICY
    assert worst([]) is ExitCode.DONE
