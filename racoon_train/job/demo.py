"""The job of the demo: a small 2D network and rounds that fit two CPU cores."""

from __future__ import annotations

from racoon_train.job.job import Job, JobLabel
from racoon_train.job.rules import RuleSettings
from racoon_train.job.training import TrainingSettings

LUNG_LABELS = (
    JobLabel(value=1, name="ground_glass_opacity"),
    JobLabel(value=2, name="consolidation"),
    JobLabel(value=3, name="pleural_effusion"),
)


def demo_job(sites: int, *, seed: int = 2026, labels: tuple[JobLabel, ...] = LUNG_LABELS) -> Job:
    """Give the demo's job: a small 2D network and rounds that fit two CPU cores.

    Args:
        sites: Number of hospitals that train.
        seed: Seed of initial weights and sampling.
        labels: Classes to learn, as the datasets name them.
    """
    training = TrainingSettings(rounds=6, local_steps=50, batch_size=8, patch=96)
    return Job(
        name=f"demo-{sites}-sites",
        seed=seed,
        labels=labels,
        training=training,
        rules=RuleSettings(quorum=max(1, sites - 1)),
    )
