"""Networks by name are what their papers say, arguments are checked, and precision and heads are weighed right."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

from racoon_data.errors import PayloadError
from racoon_train import engine
from racoon_train.data.loaders import Batch
from racoon_train.data.transforms import augmentation
from racoon_train.federated.corrections import Corrected, proximal
from racoon_train.job.job import Job
from racoon_train.job.network import NetworkSettings
from racoon_train.networks import build_network, initial_weights, network_of, set_weights, weights_of
from racoon_train.optimizer import AdamW, LossScaler
from tests.train.makers import a_job

torch = pytest.importorskip("torch")

NETWORKS = {
    "unet2d": {"channels": (4, 8)},
    "unet3d": {"channels": (4, 8), "norm": "batch"},
    "dynunet2d": {"channels": (4, 8, 8), "norm": "group", "dropout": 0.1},
    "dynunet3d": {"channels": (4, 8, 8), "deep_supervision": 1, "residual_units": 0},
}


def a_batch(dimensions: int, *, annotated=(1, 2)) -> Batch:
    """Two patches with a bright class 1 and a middling class 2."""
    rng = np.random.default_rng(2)
    targets = rng.integers(0, 3, (2, *(16,) * dimensions)).astype(np.uint8)
    return Batch((targets[:, None] / 2).astype(np.float32), targets, annotated)


def job_of(name: str, **training) -> Job:
    """A job of a network, with patches of 16 voxels."""
    settings = {**a_job().training.model_dump(), "patch": 16, "local_steps": 3, **training}
    return Job.model_validate(
        {**a_job().model_dump(), "network": {"name": name, **NETWORKS[name]}, "training": settings}
    )


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_network_learns(name, precision):
    """Three steps on one batch lower the loss, in each precision; on a CPU fp16 is fp32."""
    job = job_of(name, precision=precision)
    network, batch = network_of(job), a_batch(job.network.dimensions)
    optimizer = AdamW(network, weight_decay=0.0)

    losses = engine.train_steps(network, optimizer, iter([batch] * 3), job, first_step=0)

    assert losses[2] < losses[0]
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
    assert engine.precision_of(job, torch.device("cpu")) == ("fp32" if precision == "fp16" else precision)
    assert engine.precision_of(job, torch.device("cuda")) == precision


def test_the_dynunet_of_nnunets_size_has_its_parameters():
    """31.2 million, as nnU-Net's plain 3D network with these channels."""
    channels = (32, 64, 128, 256, 320, 320)
    settings = NetworkSettings(name="dynunet3d", channels=channels, residual_units=0, deep_supervision=4)

    network = build_network(settings, 3)

    assert sum(parameter.numel() for parameter in network.parameters()) == 31_191_759


@pytest.mark.parametrize(
    ("network", "word"),
    [
        ({"name": "resnet"}, "unet2d"),
        ({"name": "unet3d", "deep_supervision": 1}, "needs a dynunet"),
        ({"name": "dynunet2d", "channels": (8, 16)}, "three channels"),
        ({"name": "dynunet2d", "channels": (8, 16, 32), "deep_supervision": 2}, "at most 1"),
        ({"channels": (8,)}, "at least 2"),
        ({"channels": (8, 0)}, "greater than or equal to 1"),
        ({"dropout": 1.0}, "less than 1"),
    ],
)
def test_wrong_arguments_of_a_network_are_refused(network, word):
    """What does not fit the network is said when the job is read."""
    with pytest.raises(ValidationError, match=word):
        Job.model_validate({**a_job().model_dump(), "network": network})


@pytest.mark.parametrize(
    ("training", "word"),
    [
        ({"patch": 25}, "multiple of 2"),
        ({"patch": (24, 24, 24)}, "needs a patch of 2 sizes"),
        ({"patch": 2}, "not the first"),
        ({"window": (400, -1000)}, "below its second"),
        ({"patience": 2}, "needs a validation_fold"),
        ({"orientation": "XYZ"}, "pattern"),
    ],
)
def test_training_that_makes_no_sense_is_refused(training, word):
    """Patches that the network cannot halve, a window upside down, stopping by nothing."""
    with pytest.raises(ValidationError, match=word):
        Job.model_validate({**a_job().model_dump(), "training": {**a_job().training.model_dump(), **training}})


def test_heads_count_half_of_the_one_before():
    """Two heads: (loss of the first + half the loss of the second) / 1.5; one head is the plain loss."""
    logits, target = torch.randn(2, 2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.uint8)
    first, second = (engine.marginal_loss(logits[:, head], target, annotated=[1, 2]) for head in (0, 1))

    assert torch.allclose(engine.loss_of(logits, target, annotated=[1, 2]), (first + second / 2) / 1.5)
    assert torch.allclose(engine.loss_of(logits[:, 0], target, annotated=[1, 2]), first)


def test_the_marginal_loss_in_three_dimensions_is_that_of_two():
    """A volume of one slice costs what the slice costs, with a class nobody looked for."""
    logits, target = torch.randn(2, 3, 5, 5), torch.randint(0, 2, (2, 5, 5), dtype=torch.uint8)

    flat = engine.marginal_loss(logits, target, annotated=[1])
    deep = engine.marginal_loss(logits[:, :, None], target[:, None], annotated=[1])

    assert float(flat) == pytest.approx(float(deep), abs=1e-6)


def test_a_network_that_never_saw_a_class_annotated_still_finds_the_others():
    """With deep supervision and marginal loss, no gradient says that class 2 is absent."""
    job = job_of("dynunet3d")
    network = network_of(job).train()
    batch = a_batch(3, annotated=(1,))
    hidden = np.where(batch.targets == 2, 0, batch.targets)
    outputs = network(torch.from_numpy(batch.images))
    outputs.retain_grad()
    engine.loss_of(outputs, torch.from_numpy(hidden), annotated=[1]).backward()
    probabilities = torch.softmax(outputs.detach(), dim=2)
    gradient = outputs.grad / probabilities

    assert torch.allclose(gradient[:, :, 0], gradient[:, :, 2], atol=1e-3)


def test_a_loss_scale_halves_on_overflow_and_doubles_after_long_calm():
    """Overflowing gradients leave the step out; 2000 good ones double the scale."""
    network, scaler = torch.nn.Linear(2, 1), LossScaler()
    network.weight.grad, network.bias.grad = torch.full((1, 2), math.inf), torch.zeros(1)
    assert (scaler.unscale(network), scaler.scale, scaler.good_steps) == (False, 2.0**15, 0)

    network.weight.grad = torch.full((1, 2), 2.0**15)
    assert scaler.unscale(network)
    assert network.weight.grad.tolist() == [[1.0, 1.0]]
    scaler.good_steps = 1999
    assert scaler.unscale(network)
    assert (scaler.scale, scaler.good_steps) == (2.0**16, 0)


def test_an_optimizer_takes_no_state_of_another_network():
    """The refusal has a code; the loss scale travels with the state."""
    small, large = (AdamW(torch.nn.Linear(2, width), weight_decay=0.0) for width in (1, 3))
    small.scaler.scale = 8.0
    with pytest.raises(PayloadError) as caught:
        large.load(small.arrays())
    again = AdamW(torch.nn.Linear(2, 1), weight_decay=0.0)
    again.load(small.arrays())

    assert caught.value.code == "federation.payload"
    assert again.scaler.scale == 8.0


def test_a_correction_pulls():
    """FedProx's pull: where it is strong, weights stay nearer to where they began."""
    job = job_of("unet2d", learning_rate=0.05)
    moved = []
    for strength in (0.0, 100.0):
        network = network_of(job)
        start = [parameter.detach().clone() for parameter in network.parameters()]
        pull = proximal(weights_of(network), strength)
        optimizer = Corrected(AdamW(network, weight_decay=0.0), network, pull)
        engine.train_steps(network, optimizer, iter([a_batch(2)] * 3), job, first_step=0)
        pairs = zip(network.parameters(), start, strict=True)
        moved.append(sum(float(((p.detach() - s) ** 2).sum()) for p, s in pairs))

    assert moved[1] < moved[0]


def test_sliding_windows_agree_with_the_whole_where_one_window_covers_it():
    """A volume of the patch's size is one window: the softmax of the network itself."""
    job = job_of("unet3d")
    network = network_of(job)
    set_weights(network, initial_weights(job))
    image = np.random.default_rng(0).normal(-300, 200, (1, 16, 16, 16)).astype(np.float32)

    found = engine.predict(network, image, job)

    with torch.inference_mode():
        network.eval()
        whole = torch.softmax(network(torch.from_numpy(engine.windowed(image, job.training.window))[None]), 1)[0]
    np.testing.assert_allclose(found, whole.numpy(), atol=1e-5)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("name", ["none", "light", "strong"])
def test_augmentation_depends_on_its_chance_alone(name, dimensions):
    """The same source of chance gives the same patch; classes stay classes."""
    rng = np.random.default_rng(4)
    image = rng.random((1, *(16,) * dimensions)).astype(np.float32)
    target = rng.integers(0, 3, (16,) * dimensions).astype(np.uint8)
    vary = augmentation(name, dimensions=dimensions)

    found = [vary(image, target, np.random.default_rng(seed)) for seed in (1, 1, 2, 3, 4)]

    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])
    assert all(i.shape == image.shape and set(np.unique(t)) <= {0, 1, 2} for i, t in found)
    assert all(np.array_equal(i, image) for i, _ in found) == (name == "none")
