"""Patches as a PyTorch dataset: any worker, any order, the same patch; MONAI's chance comes from the seed."""

import numpy as np
import pytest

from racoon_train.data.cache import build_cache
from racoon_train.data.dataset import open_dataset
from racoon_train.data.torch_dataset import PatchDataset
from tests.train.makers import a_dataset, a_job

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Three training cases, in which lesions alone were looked for."""
    root = tmp_path_factory.mktemp("torch")
    return build_cache(open_dataset(a_dataset(root / "d", annotated=("lesion",))), root / "cache").load("train")


def test_a_dataloader_takes_it(cases):
    """Batches of tensors, each saying which classes were looked for; order does not change a patch."""
    from torch.utils.data import DataLoader

    data = PatchDataset(cases, a_job(), length=6, site="a")

    batches = list(DataLoader(data, batch_size=3))

    assert [tuple(batch["image"].shape) for batch in batches] == [(3, 1, 24, 24)] * 2
    assert batches[0]["annotated"].tolist() == [[1, 0]] * 3
    assert torch.equal(batches[1]["image"][0], data[3]["image"])
    assert set(np.unique(batches[0]["label"])) <= {0, 1}
    with pytest.raises(IndexError):
        data[6]


def test_monai_transforms_follow_the_seed(cases):
    """A transform with chance gives the same patch again, and another one in another round."""
    from monai.transforms import Compose, RandFlipd, RandGaussianNoised

    noisy = Compose([RandFlipd(["image", "label"], prob=0.5), RandGaussianNoised(["image"], prob=1.0, std=0.1)])
    data = PatchDataset(cases, a_job(), length=4, site="a", transform=noisy)
    first = [np.array(torch.as_tensor(data[number]["image"])) for number in range(4)]

    assert all(np.array_equal(first[n], torch.as_tensor(data[n]["image"]).numpy()) for n in (3, 0, 2, 1))
    data.round_ = 2
    assert not np.array_equal(first[0], torch.as_tensor(data[0]["image"]).numpy())
