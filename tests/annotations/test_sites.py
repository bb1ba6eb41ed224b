"""Phantom hospitals that annotate differently are all read to the true voxel."""

import numpy as np
import pytest

from racoon_data.annotations.folder import find_annotations
from racoon_data.annotations.read import read_annotation
from racoon_data.dicom.stacking import geometry_of
from racoon_data.testing.sites import default_plans, write_site


@pytest.mark.parametrize("plan", default_plans(3), ids=lambda plan: plan.name)
def test_every_habit_gives_the_true_masks(tmp_path, plan):
    """SCT, SRT and private codes, one file a lesion or one in all, feet first or tipped: the union is the truth."""
    truth = write_site(tmp_path, plan, patients=1, seed=11)
    (study,) = truth.studies.values()
    links = find_annotations(tmp_path).links

    found = np.zeros(study.geometry.array_shape, dtype=bool)
    findings = 0
    for link in links:
        annotation = read_annotation(link, geometry_of(link.series))
        assert annotation.image == study.image
        assert all(one.segment.type is not None for one in annotation.masks)
        found |= np.logical_or.reduce([one.mask for one in annotation.masks] or [np.zeros_like(found)])
        findings += len(annotation.findings)

    outlined = [name for name, ml in truth.annotated_ml(study.study_uid).items() if ml > 0]
    assert found.sum() * study.geometry.voxel_ml == pytest.approx(sum(study.volume_ml[name] for name in outlined))
    assert not found[study.labels == 0].any()
    assert findings > 0
