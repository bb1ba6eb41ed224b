"""What people said of cases holds for the next build: a rejected case stays out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from racoon_data.errors import RejectedCaseError
from racoon_data.outcomes import outcome_of
from racoon_data.pipeline.propose import Proposal
from racoon_data.site.reviews import Review, ReviewVerdict


def without_rejected(proposal: Proposal, reviews: Mapping[str, Review]) -> Proposal:
    """Keep out the cases whose newest review rejects them.

    A rejection holds though the case's sources change: a case too few is cheaper than a wrong one.

    Args:
        proposal: What would be built.
        reviews: Newest review by case id.
    """
    rejected = {
        item.ref: reviews[item.ref.case_id]
        for item in proposal.items
        if item.ref.case_id in reviews and reviews[item.ref.case_id].verdict is ReviewVerdict.REJECTED
    }
    ends = []
    for item in proposal.items:
        if (review := rejected.get(item.ref)) is not None:
            hint = "look at it again with racoon serve, and accept it or leave it open"
            error = RejectedCaseError(f"rejected by {review.reviewer} at {review.at}", hint=hint)
            ends.append((item, outcome_of(error, ref=item.ref, step="review")))
    kept = tuple(item for item in proposal.items if item.ref not in rejected)
    return replace(proposal, items=kept, kept_out=(*proposal.kept_out, *ends))
