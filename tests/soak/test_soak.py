"""A small soak: a fault of each of four kinds, and everything is accounted for in the end."""

from tests.soak.run import broken, report, soak

SEED = 37


def test_nothing_is_lost_torn_or_unaccounted(tmp_path):
    """PACS, disk, worker and process fail; the end equals that of a site where nothing failed."""
    account = soak(tmp_path, seed=SEED, rounds=4, patients=2)

    assert account.is_clean, "\n".join(report(account, SEED))
    assert sorted(account.rounds) == ["disk full", "pacs dies", "process killed", "worker killed"]
    assert sum(account.struck.values()) >= 2
    assert account.cases >= 3
    image = next((tmp_path / "soaked" / "datasets" / "lung").rglob("*.nii.gz"))
    image.write_bytes(image.read_bytes()[:-1])
    assert broken(tmp_path / "soaked") == {f"{image.parent.name}/{image.name}"}
