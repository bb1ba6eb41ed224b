"""From a PACS to a dataset in a few lines: a synthetic hospital, its embedded PACS, one walk."""

import sys
from pathlib import Path

from racoon_data.deid.vault import create_key
from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.pipeline.plan import plan_study
from racoon_data.pipeline.walk import walk
from racoon_data.settings import StudySettings, load_toml
from racoon_data.site.paths import create_site
from racoon_data.testing.site_study import site_toml, study_toml
from racoon_data.testing.sites import default_plans, write_site


def main(folder: Path) -> None:
    """Build a dataset of two patients under ``folder`` and print what became of everything."""
    hospital = default_plans(3)[0]
    write_site(folder / "pacs", hospital, patients=2, seed=1)
    with EmbeddedPacs(folder / "pacs") as pacs:
        site = create_site(folder / "site", site_toml(hospital, pacs.port))
        create_key(site.vault)
        (site.root / "study.toml").write_text(study_toml(hospital))
        study = load_toml(site.root / "study.toml", StudySettings)
        account = walk(plan_study(site, study, base=site.root))
    for stage in account.stages:
        print(stage.name, stage.counts)
    print("report:", account.dataset / "qc" / "report.html")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "example"))
