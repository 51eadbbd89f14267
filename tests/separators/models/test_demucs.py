"""Demucs: the original's files give the original's stems; files that lie are refused."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from separators.models import running
from separators.models.demucs import Demucs
from separators.models.files import VARIABLE, ModelError
from tests.separators.models import tiny_models as tiny
from tests.separators.models.tiny_models import (
    DEMUCS,
    HDEMUCS,
    HTDEMUCS,
    demucs_network,
    save_safetensors,
    save_th,
)

pytest.importorskip("demucs", reason='demucs is not installed: pip install "stembridge[demucs]"')

RATE = 44100
SAME = 2e-3
"""Weights are stored in half precision, and what the rest takes is measured against an RMS of 1."""
each_kind = pytest.mark.parametrize(
    ("kind", "settings"), [("HTDemucs", HTDEMUCS), ("HDemucs", HDEMUCS), ("Demucs", DEMUCS)]
)


def noise(frames, seed=0):
    audio = np.random.default_rng(seed).standard_normal((2, frames)).astype(np.float32)
    return audio / np.sqrt(np.mean(audio**2))


@each_kind
@pytest.mark.parametrize("save", [save_th, save_safetensors], ids=["th", "safetensors"])
def test_the_originals_files_give_the_originals_stems(kind, settings, save, tmp_path):
    network = demucs_network(kind, settings)
    path = tmp_path / f"model.{'th' if save is save_th else 'safetensors'}"
    save(network, path)
    mixture = noise(22050)
    polarity = 1 if (mixture.astype(np.float64) ** 3).sum() >= 0 else -1
    with torch.inference_mode():
        expected = polarity * network(torch.from_numpy(0.1 * polarity * mixture)[None])[0].numpy() / 0.1
    stems = Demucs(checkpoint=str(path), rest="residual").separate(mixture, RATE)
    assert stems.names == (*settings["sources"], "residual")
    assert np.abs(expected).max() > 10 * SAME
    np.testing.assert_allclose(stems.array[:-1], expected, atol=SAME)


def test_long_audio_is_what_demucs_own_driver_makes_of_it(tmp_path):
    from demucs.apply import apply_model

    network = demucs_network("HDemucs", HDEMUCS)
    save_safetensors(network, tmp_path / "model.safetensors")
    mixture = noise(22050 + 5 * 16537)  # whole steps of segments
    polarity = 1 if (mixture.astype(np.float64) ** 3).sum() >= 0 else -1
    heard = torch.from_numpy(0.1 * polarity * mixture)[None]
    expected = polarity * apply_model(network, heard, shifts=0, overlap=0.25)[0].numpy() / 0.1
    stems = Demucs(checkpoint=str(tmp_path / "model.safetensors"), rest="residual").separate(mixture, RATE)
    # Demucs hears one more, short segment at the end; before that the two cut alike.
    seen = np.s_[..., : 6 * 16537]
    np.testing.assert_allclose(stems.array[:-1][seen], expected[seen], atol=SAME)


def test_the_rest_goes_to_other_and_everything_sums(tmp_path):
    save_th(demucs_network("HDemucs", HDEMUCS), tmp_path / "model.th")
    mixture = noise(30000)
    apart = Demucs(checkpoint=str(tmp_path / "model.th"), rest="residual").separate(mixture, RATE)
    stems = Demucs(checkpoint=str(tmp_path / "model.th")).separate(mixture, RATE)
    assert stems.names == ("drums", "bass", "other", "vocals")
    np.testing.assert_allclose(stems["other"], apart["other"] + apart["residual"], atol=1e-5)
    np.testing.assert_allclose(stems["vocals"], apart["vocals"], atol=1e-6)


def test_a_name_stands_for_demucs_own_bag_whose_models_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(ModelError, match=r"there is no 955717e8 in .*put the model's file"):
        Demucs(checkpoint="htdemucs").stem_names(2)
    save_th(demucs_network("HTDemucs", HTDEMUCS), tmp_path / "955717e8-0123abcd.th")
    separator = Demucs(checkpoint="htdemucs")
    assert separator.stem_names(2) == ("drums", "bass", "other", "vocals")
    assert [file.name for file in separator.files()] == ["htdemucs.yaml", "955717e8-0123abcd.th"]


def test_a_bag_weighs_its_models(tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        save_safetensors(demucs_network("Demucs", DEMUCS, seed), tmp_path / f"{name}.safetensors")
    (tmp_path / "bag.yaml").write_text("models: [a, b]\nweights: [[1, 3], [1, 1]]")
    mixture = noise(22050)

    def stems(file):
        return Demucs(checkpoint=str(tmp_path / file), rest="residual").separate(mixture, RATE)

    both, a, b = stems("bag.yaml"), stems("a.safetensors"), stems("b.safetensors")
    np.testing.assert_allclose(both["noise"], (a["noise"] + b["noise"]) / 2, atol=1e-5)
    np.testing.assert_allclose(both["voice"], (3 * a["voice"] + b["voice"]) / 4, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [../a]", "signatures of letters and digits"),
        ("models: []", "signatures of letters and digits"),
        ("other: 1", "is no bag"),
        ("models: [a", "is no bag"),
        ("!!python/object/apply:os.system ['touch made']", "is no bag"),
        ("models: [a]\nweights: [[1, 0]]", "weights must hold 2 numbers for each of its 1"),
    ],
)
def test_bags_that_make_no_sense_are_refused(tmp_path, text, message):
    save_safetensors(demucs_network("Demucs", DEMUCS), tmp_path / "a.safetensors")
    (tmp_path / "bag.yaml").write_text(text)
    with pytest.raises(ModelError, match=message) as error:
        Demucs(checkpoint=str(tmp_path / "bag.yaml")).stem_names(2)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"klass": torch.nn.Linear}, "no checkpoint of Demucs 3 or 4"),
        ({"klass": "demucs.demucs.Demucs"}, "no checkpoint of Demucs 3 or 4"),
        ({"state": {"__quantized": True}}, "quantized"),
        ({"state": {"a": torch.ones(3)}}, "do not fit its settings"),
        ({"kwargs": {**DEMUCS, "channels": 10**5}}, "do not fit its settings"),
        ({"kwargs": {**DEMUCS, "channels": "many"}}, "do not fit its settings"),
        ({"kwargs": {**DEMUCS, "samplerate": 0}}, "samplerate must be"),
        ({"kwargs": {**DEMUCS, "segment": -1}}, "segment must be"),
        ({"kwargs": {**DEMUCS, "sources": ["a", "a"]}}, "sources must be distinct names"),
        ({"kwargs": [1]}, "no arguments"),
    ],
)
def test_checkpoints_that_lie_are_refused_before_they_cost_memory(tmp_path, change, message):
    package = tiny.demucs_package(demucs_network("Demucs", DEMUCS))
    torch.save({**package, **change}, tmp_path / "model.th")
    with pytest.raises(ModelError, match=message) as error:
        Demucs(checkpoint=str(tmp_path / "model.th")).stem_names(2)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"klass": "os.system"}, "the architecture os.system cannot be used"),
        ({"structure": "{}"}, "quantized weights cannot be used"),
        ({"kwargs": "no json"}, "is no checkpoint"),
        ({"kwargs": "[]"}, "no arguments"),
    ],
)
def test_safetensors_that_lie_are_refused(tmp_path, metadata, message):
    save_safetensors(demucs_network("Demucs", DEMUCS), tmp_path / "model.safetensors", **metadata)
    with pytest.raises(ModelError, match=message):
        Demucs(checkpoint=str(tmp_path / "model.safetensors")).stem_names(2)


class OldFraction:
    """Pickles as older Pythons pickled a fraction."""

    def __init__(self, text):
        self.text = text

    def __reduce__(self):
        return Fraction, (self.text,)


def test_fractions_are_read_as_any_python_wrote_them_but_none_that_never_ends(tmp_path):
    package = tiny.demucs_package(demucs_network("HTDemucs", HTDEMUCS))
    for text in ("1/2", "1e999999999"):
        torch.save({**package, "kwargs": {**HTDEMUCS, "segment": OldFraction(text)}}, tmp_path / "model.th")
        separator = Demucs(checkpoint=str(tmp_path / "model.th"))
        running._cached.cache_clear()
        if text == "1/2":
            assert separator.model().segment_seconds == 0.5
        else:
            with pytest.raises(ModelError, match="is no fraction"):
                separator.stem_names(2)
