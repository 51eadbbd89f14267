"""ONNX: layouts, waveforms and spectrograms, descriptions that are wrong, files that lead elsewhere."""

import numpy as np
import pytest

from separators.models.files import ModelError
from separators.models.layout import Layout
from separators.models.onnx import ONNXModel
from tests.separators.models import tiny_models
from tests.separators.models.tiny_models import ONNX_WAVEFORM, save_onnx, save_waveform_onnx

if reason := tiny_models.MISSING["onnx"]:
    pytest.skip(reason, allow_module_level=True)

from onnx import TensorProto, helper

RATE = 32000
SAME = 1e-4
"""Largest difference between a stem and what it must be, for a mixture around 1."""
AXES = ("batch", "stems", "channels", "parts", "bins", "times")


def noise(frames=40000, seed=0):
    return np.random.default_rng(seed).standard_normal((2, frames)).astype(np.float32)


# -- layouts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("batch channels bins times", (1, 2, 3, 4)),
        ("times bins channels", (4, 3, 2)),
        ("batch (channels bins) times", (1, 6, 4)),
        ("(times bins) channels batch", (12, 2, 1)),
    ],
)
def test_layouts_pack_and_unpack(text, shape):
    array = np.arange(24).reshape(2, 3, 4)
    layout = Layout.parse(text, AXES)
    packed = layout.pack(array, ("channels", "bins", "times"))
    assert packed.shape == shape
    sizes = {"channels": 2, "bins": 3, "times": 4}
    np.testing.assert_array_equal(layout.unpack(packed, sizes), array)
    np.testing.assert_array_equal(layout.unpack(packed, {"stems": 1, **sizes}), array[None])
    with pytest.raises(ValueError, match="its description means"):
        layout.unpack(packed[..., :-1] if shape[-1] > 1 else packed[:-1], sizes)


def test_the_last_of_merged_axes_runs_fastest():
    array = np.array([[0, 1], [10, 11], [20, 21]])
    packed = Layout.parse("(channels times)", AXES).pack(array, ("channels", "times"))
    np.testing.assert_array_equal(packed, [0, 1, 10, 11, 20, 21])


@pytest.mark.parametrize(
    "text", ["", "batch, channels", "channels channels", "batch ( times", "rows", "Batch"]
)
def test_layouts_that_make_no_sense_are_refused(text):
    with pytest.raises(ValueError, match="must name, once each, axes among batch, stems"):
        Layout.parse(text, AXES)


# -- models -------------------------------------------------------------------------------------


def test_a_waveform_model_gives_its_stems(tmp_path):
    save_waveform_onnx(tmp_path)
    mixture = noise()
    mixture /= np.sqrt(np.mean(mixture**2))
    polarity = 1 if (mixture.astype(np.float64) ** 3).sum() >= 0 else -1
    stems = ONNXModel(checkpoint=str(tmp_path / "tiny.toml")).separate(mixture, RATE)
    assert stems.names == ("low", "high", "residual")
    expected = 0.5 * mixture + polarity * 0.1 * np.square(0.5 * mixture)
    np.testing.assert_allclose(stems["high"], expected, atol=SAME)


SPECTROGRAM = """
model = "mask.onnx"
stems = ["vocals"]
sample_rate = 32000
segment = 8160
input = "batch (channels parts) bins times"
output = "batch (channels parts) bins times"
[spectrogram]
fft_size = 512
hop = 96
bins = 200
"""


def save_mask(folder, text=SPECTROGRAM):
    """A model that keeps the lower 100 of 200 bins."""
    mask = np.zeros((1, 1, 200, 1), np.float32)
    mask[:, :, :100] = 1
    shape = [1, 4, 200, 86]
    save_onnx(folder / "mask.onnx", [helper.make_node("Mul", ["x", "m"], ["y"])], shape, shape, {"m": mask})
    (folder / "mask.toml").write_text(text)
    return ONNXModel(checkpoint=str(folder / "mask.toml"))


def test_a_spectrogram_model_filters_as_its_mask_says(tmp_path):
    t = np.arange(40000) / RATE
    low, high = (np.repeat(np.sin(2 * np.pi * f * t)[None], 2, 0).astype(np.float32) for f in (1000, 9000))
    stems = save_mask(tmp_path).separate(low + high, RATE)
    assert stems.names == ("vocals", "residual")
    inner = np.s_[:, 2000:-2000]
    np.testing.assert_allclose(stems["vocals"][inner], low[inner], atol=0.01)
    np.testing.assert_allclose(stems["residual"][inner], high[inner], atol=0.01)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hop = 96", "hop = 300", "do not fit an fft_size of 512"),
        ("bins = 200", "", "must hold fft_size, hop, bins"),
        ("segment = 8160", "segment = 500", "segment must be longer than fft_size"),
        (
            'input = "batch (channels parts) bins times"',
            'input = "batch channels bins times"',
            "'batch channels bins times' does not name parts",
        ),
        ('"batch (channels parts) bins times"', '"batch frames"', "must name, once each"),
        ("bins = 200", "bins = 100", "cannot be run"),
        ('["vocals"]', '["a", "b"]', "does not name stems"),
    ],
)
def test_spectrogram_descriptions_that_do_not_fit_are_refused(tmp_path, old, new, message):
    with pytest.raises(ModelError, match=message) as error:
        save_mask(tmp_path, SPECTROGRAM.replace(old, new)).separate(noise(9000), RATE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("segment = 16000", "", "segment missing"),
        ("segment = 16000", "segment = 16000.5", "segment must be a whole number from 16"),
        ("sample_rate = 32000", "sample_rate = true", "sample_rate must be a whole number"),
        (
            "sample_rate = 32000",
            "sample_rate = 32000\nchannels = 6",
            "channels must be a whole number from 1 to 2",
        ),
        (
            "sample_rate = 32000",
            "sample_rate = 32000\nsegmnt = 6",
            "no key 'segmnt'; there are: model, stems",
        ),
        ('["low", "high"]', "[]", "stems must be distinct names"),
        ('["low", "high"]', '["low", "low"]', "stems must be distinct names"),
        ('["low", "high"]', '["low", 3]', "stems must be distinct names"),
        ('["low", "high"]', '["low", "mid", "high"]', "its description means"),
        ("segment = 16000", "segment = 8000", "cannot be run"),
        ('"tiny.onnx"', '"../tiny.onnx"', "must be a file beside this one"),
        ('"tiny.onnx"', '"/etc/passwd"', "must be a file beside this one"),
        ('"tiny.onnx"', '"other.onnx"', "put the model beside its description"),
        ('"tiny.onnx"', '"tiny.toml"', "cannot be read"),
        ("model =", "model ==", "is no TOML file"),
        ("model =", "x = " + "[" * 50000 + "\nmodel =", "is no TOML file"),
        ("model =", "# " + "x" * 70000 + "\nmodel =", "larger than"),
    ],
    ids=lambda value: value[:24],
)
def test_descriptions_that_are_wrong_are_refused_with_one_line(tmp_path, old, new, message):
    save_waveform_onnx(tmp_path)
    (tmp_path / "tiny.toml").write_text(ONNX_WAVEFORM.replace(old, new))
    with pytest.raises(ModelError, match=message) as error:
        ONNXModel(checkpoint=str(tmp_path / "tiny.toml")).separate(noise(20000), RATE)
    assert "\n" not in str(error.value)


def test_a_model_cannot_read_files_outside_its_folder(tmp_path):
    from onnx import load, save

    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.bin").write_bytes(np.ones(72, np.float32).tobytes())
    save_waveform_onnx(inside)
    model = load(inside / "tiny.onnx")
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "../secret.bin"
    save(model, inside / "tiny.onnx")
    with pytest.raises(ModelError, match="cannot be read"):
        ONNXModel(checkpoint=str(inside / "tiny.toml")).stem_names(2)


def test_models_of_several_inputs_are_refused(tmp_path):
    shape = [1, 2, 16000]
    save_onnx(
        tmp_path / "tiny.onnx",
        [helper.make_node("Split", ["x"], ["y", "z"], axis=1, num_outputs=2)],
        shape,
        shape,
    )
    model = tmp_path / "tiny.onnx"
    from onnx import load, save

    changed = load(model)
    changed.opset_import[0].version = 18
    changed.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    changed.graph.output[0].type.tensor_type.ClearField("shape")
    save(changed, model)
    (tmp_path / "tiny.toml").write_text(ONNX_WAVEFORM)
    with pytest.raises(ModelError, match="1 inputs and 2 outputs"):
        ONNXModel(checkpoint=str(tmp_path / "tiny.toml")).stem_names(2)
