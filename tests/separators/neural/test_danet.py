import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from separators.errors import ParameterError
from separators.neural import weights
from separators.neural.clustered import ClusteredMasks
from separators.neural.clustering import attractor_masks, band_loudness, kmeans, settled
from separators.neural.danet import DANet
from separators.neural.network import (
    BANDS,
    BINS,
    SAMPLE_RATE,
    Architecture,
    Network,
    pool_bands,
    unpool_bands,
)

SMALL = Architecture(head="embeddings", channels=12, dilations=(1, 2), dimensions=4, attention=())
SUM = 1e-6


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Network(SMALL).eval().requires_grad_(False)


def noise(seed, *shape):
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def on_sphere(centres, count, spread, seed):
    rng = np.random.default_rng(seed)
    points = np.repeat(centres, count, 0) + spread * rng.standard_normal(
        (count * len(centres), centres.shape[1])
    )
    return torch.from_numpy((points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32))


CENTRES = np.eye(5)[:3]


@pytest.mark.parametrize("clusters", [2, 3])
def test_kmeans_finds_known_clusters(clusters):
    points = on_sphere(CENTRES[:clusters], 300, 0.15, 0)
    found = kmeans(points, torch.ones(len(points)), clusters, seed=0)
    cosine = torch.nn.functional.normalize(found, dim=1) @ torch.from_numpy(CENTRES[:clusters]).float().T
    assert sorted(cosine.argmax(1).tolist()) == list(range(clusters))
    assert cosine.max(1).values.min() > 0.99


@pytest.mark.parametrize("clusters", [2, 3])
def test_kmeans_settles_where_every_point_is_in_the_cluster_of_the_nearest_mean(clusters):
    points = on_sphere(CENTRES[:clusters], 300, 0.4, 3)
    mass = torch.rand(len(points), generator=torch.Generator().manual_seed(1))
    start = torch.from_numpy(CENTRES[:clusters]).float().flip(0)
    labels = settled(points.view(clusters, 300, -1), mass.view(clusters, 300), start).flatten()
    means = torch.stack(
        [(points * mass[:, None])[labels == n].sum(0) / mass[labels == n].sum() for n in range(clusters)]
    )
    unit = torch.nn.functional.normalize(means, dim=1)
    assert torch.equal(labels, (points @ unit.T).argmax(1))
    assert (unit * start).sum(1).min() > 0.9  # in the order of the start


def test_kmeans_fits_as_well_as_scikit_learn():
    points = on_sphere(np.random.default_rng(1).standard_normal((6, 5)), 100, 0.3, 1)
    mass = torch.rand(len(points), generator=torch.Generator().manual_seed(0)) + 0.1

    def spread(centroids):
        unit = torch.nn.functional.normalize(torch.as_tensor(centroids).float(), dim=1)
        return float(((1 - (points @ unit.T).max(1).values) * mass).sum())

    theirs = KMeans(3, n_init=10, random_state=0).fit(points.numpy(), sample_weight=mass.numpy())
    assert spread(kmeans(points, mass, 3, seed=0)) <= spread(theirs.cluster_centers_) * 1.02


def test_kmeans_ignores_points_without_weight():
    points = on_sphere(CENTRES, 200, 0.05, 2)
    mass = torch.ones(len(points))
    mass[400:] = 0
    found = kmeans(points, mass, 2, seed=0)
    assert (found @ torch.tensor(CENTRES[2]).float()).abs().max() < 0.1


def test_kmeans_orders_by_weight_and_repeats_for_a_seed():
    points = torch.cat([on_sphere(CENTRES[:1], 50, 0.1, 3), on_sphere(CENTRES[1:2], 500, 0.1, 4)])
    found = kmeans(points, torch.ones(len(points)), 2, seed=5)
    assert found[0, 1] > 0.9
    assert torch.equal(found, kmeans(points, torch.ones(len(points)), 2, seed=5))


def test_kmeans_of_fewer_points_than_clusters():
    found = kmeans(on_sphere(CENTRES[:1], 1, 0.0, 6), torch.ones(1), 3, seed=0)
    assert torch.isfinite(found).all()


def test_masks_sum_to_one_and_follow_the_nearest_attractor():
    embeddings = on_sphere(CENTRES[:2], 30, 0.05, 7).view(1, 6, 10, 5)
    masks = attractor_masks(embeddings, torch.from_numpy(CENTRES[:2]).float()[None])
    assert (masks.sum(1) - 1).abs().max() < 1e-6
    assert masks[0, 0, :3].min() > 0.95
    assert masks[0, 1, 3:].min() > 0.95


def test_bands_pool_all_energy_and_come_back():
    power = torch.rand(2, BINS, 7)
    pooled = pool_bands(power)
    assert pooled.shape == (2, BANDS, 7)
    assert torch.allclose(pooled.sum(1), power.sum(1), rtol=1e-5)
    assert unpool_bands(torch.ones(2, BANDS, 7)).shape == (2, BINS, 7)
    assert torch.equal(pool_bands(unpool_bands(pooled))[:, :128], pooled[:, :128])


def test_quiet_bands_have_no_loudness():
    spectrum = torch.zeros(1, BINS, 4, dtype=torch.complex64)
    spectrum[0, 10], spectrum[0, 20] = 1, 1e-3
    loudness = band_loudness(spectrum)
    assert loudness[0, 10].min() == 1
    assert loudness[0, 20].max() == 0


def test_embeddings_have_unit_length(network):
    embeddings = network(torch.from_numpy(noise(0, 1, 8000)))
    assert embeddings.shape[1] == BANDS
    assert (embeddings.norm(dim=-1) - 1).abs().max() < 1e-4


@pytest.mark.parametrize("speakers", [2, 3])
@pytest.mark.parametrize("rate", [8000, 44_100])
def test_stems_sum_to_the_mixture(network, tmp_path, speakers, rate):
    weights.save(network, tmp_path / "small.safetensors", {})
    separator = DANet(speakers=speakers, weights=str(tmp_path / "small.safetensors"))
    mixture = noise(1, 2, rate * 2)
    stems = separator.separate(mixture, rate)
    assert stems.names == tuple(f"voice-{n + 1}" for n in range(speakers))
    assert np.abs(stems.array.sum(0) - mixture).max() < SUM


def test_kmeans_keeps_the_order_of_its_anchors():
    points = torch.cat([on_sphere(CENTRES[:1], 50, 0.1, 3), on_sphere(CENTRES[1:2], 500, 0.1, 4)])
    for order in ([0, 1], [1, 0]):
        anchors = torch.from_numpy(CENTRES[order]).float()
        found = kmeans(points, torch.ones(len(points)), 2, seed=5, anchors=anchors)
        assert (found * anchors).sum(1).min() > 0.9


def test_an_anchor_without_points_stays_where_it_was():
    anchors = torch.from_numpy(CENTRES[:2]).float()
    found = kmeans(on_sphere(CENTRES[:1], 300, 0.2, 8), torch.ones(300), 2, seed=0, anchors=anchors)
    assert torch.allclose(found[1], anchors[1], atol=1e-5)


def test_a_gain_does_not_change_the_masks(network, tmp_path):
    weights.save(network, tmp_path / "small.safetensors", {})
    separator = DANet(speakers=3, weights=str(tmp_path / "small.safetensors"))
    mixture = noise(2, 1, 3 * SAMPLE_RATE)
    stems = separator.separate(mixture, SAMPLE_RATE).array
    assert np.abs(separator.separate(0.37 * mixture, SAMPLE_RATE).array - 0.37 * stems).max() < 1e-4


def test_each_block_starts_from_the_centroids_of_the_one_before(network):
    masks = ClusteredMasks(network, 2, seed=0)
    audio = torch.from_numpy(noise(3, 1, 2 * SAMPLE_RATE))
    first, before = masks(audio), masks.centroids
    masks.centroids = before.flip(0)
    assert torch.allclose(masks(audio).flip(1), first, atol=0.1)


@pytest.mark.parametrize("speakers", [1, 4])
def test_other_numbers_of_speakers_are_refused(speakers):
    with pytest.raises(ParameterError, match="speakers must be auto or a whole number from 2 to 3"):
        DANet(speakers=speakers)
