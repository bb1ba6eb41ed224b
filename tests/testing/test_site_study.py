"""The settings of phantom sites fit the models people's settings fit."""

import tomllib
from pathlib import Path

import pytest

from racoon_data.settings import SiteSettings, StudySettings
from racoon_data.testing.site_study import site_toml, study_toml
from racoon_data.testing.sites import default_plans, external_plan

PLANS = (*default_plans(6), external_plan())


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_settings_are_valid(plan):
    """Site and study file parse into the settings models and say what the plan says."""
    site = SiteSettings.model_validate(tomllib.loads(site_toml(plan, 11112)))
    study = StudySettings.model_validate(tomllib.loads(study_toml(plan)))

    assert site.site.name == plan.name
    assert site.nodes[study.query.node].port == 11112
    assert study.labels.annotated == (plan.annotated if len(plan.annotated) < 3 else ())
    assert Path(study.labels.schema_file).is_file()
    assert study.recipe["spacing_mm"] == [3.0, 3.0, 5.0]


def test_recipes_are_equal_everywhere():
    """Sites that train together share one recipe and one label schema."""
    studies = [tomllib.loads(study_toml(plan)) for plan in PLANS]

    assert all(study["recipe"] == studies[0]["recipe"] for study in studies)
    assert len({study["labels"]["schema_file"] for study in studies}) == 1
