"""The Wave-U-Net's corpus, mixtures, loss and training, on songs made here."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from separators.neural.wave_u_net_architecture import Architecture
from separators.neural.wave_u_net_network import build
from separators.training.music import MusicTask, groups_of, separation_loss
from separators.training.recipes import train
from separators.training.song_mixing import Batch, Mixer, MixingSettings, _Drawer
from separators.training.songs import SAMPLE_RATE, STEMS, MusicError, load, stem_of
from separators.training.trainer import Settings, Trainer

SECONDS = 4
TINY = Architecture(
    channels=(16, 24), strides=(256, 1, 2), kernels=(512, 3), resolution=40, bottom_dilations=(1,)
)
SHORT = MixingSettings(batch=2, frames=16_384, loudness_db=0.0)
EXACT = 1e-5


def tone(hertz, rng):
    t = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    return 0.2 * np.sin(2 * np.pi * hertz * t + rng.uniform(0, 6)) * (np.sin(2 * np.pi * 0.7 * t) > -0.6)


def hits(rng):
    t = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    return 0.3 * rng.standard_normal(len(t)) * np.exp(-25 * (t % 0.25))


def song(folder, seed):
    """One file per track, as a DAW exports them; two of them are drums."""
    rng = np.random.default_rng(seed)
    tracks = {
        "01 Lead Vox": tone(rng.uniform(500, 900), rng),
        "02 Kick": tone(60, rng) * 0.3,
        "03 Hats": hits(rng),
        "04 E-Bass": tone(rng.uniform(80, 120), rng),
        "05 Piano": tone(rng.uniform(1500, 3000), rng),
    }
    folder.mkdir(parents=True)
    for name, audio in tracks.items():
        soundfile.write(folder / f"{name}.wav", audio, SAMPLE_RATE, subtype="PCM_16")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs")
    for index in range(4):
        song(folder / f"song {index}", index)
    (folder / "song 0" / "Take 7.wav").write_bytes((folder / "song 0" / "02 Kick.wav").read_bytes())
    (folder / "song 1" / "Bass broken.wav").write_bytes(b"no audio")
    return folder


@pytest.fixture(scope="module")
def songs(folder, tmp_path_factory):
    return load(folder, tmp_path_factory.mktemp("cache"), report=lambda line: None)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Lead Vox", "vocals"),
        ("BV_choir_2", "vocals"),
        ("kick in", "drums"),
        ("Overhead-L", "drums"),
        ("Bass DI", "bass"),
        ("Sub Bass Synth", "bass"),
        ("Rhythm Gtr L", "other"),
        ("instrumental", "accompaniment"),
        ("Audio 14", None),
    ],
)
def test_track_names_tell_the_stem(name, stem):
    assert stem_of(name) == stem


def test_files_that_tell_no_stem_or_are_broken_are_reported_and_left_out(folder, tmp_path):
    lines = []
    songs = load(folder, tmp_path, lines.append)
    assert len(songs.recordings) == 4 * 5
    assert any("Take 7.wav" in line and "tells no stem" in line for line in lines)
    assert any("Bass broken.wav" in line for line in lines)
    assert {recording.split for recording in songs.recordings} == {"train", "valid"}


def test_decoded_songs_are_kept_and_equal_the_files(folder, tmp_path):
    songs = load(folder, tmp_path, lambda line: None)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = load(folder, tmp_path, lambda line: None)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert again.recordings == songs.recordings
    recording = songs.recordings[3]
    audio, _ = soundfile.read(folder / recording.path, dtype="float32")
    heard = songs.audio(recording, 1000, 5000)
    np.testing.assert_allclose(heard[0], audio[1000:6000], atol=2 / 32768)
    np.testing.assert_array_equal(heard[0], heard[1])
    beyond = songs.audio(recording, recording.frames - 10, 30)
    assert not beyond[:, 10:].any()


def test_a_manifest_names_stems_splits_and_sources(folder, tmp_path):
    rows = [
        {"path": str(folder / "song 2" / "01 Lead Vox.wav"), "song": "a", "stem": "vocals", "split": "train"},
        {"path": str(folder / "song 2" / "05 Piano.wav"), "song": "a", "stem": "rest", "split": "train"},
        {"path": str(folder / "song 3" / "05 Piano.wav"), "song": "b", "stem": "other", "split": "valid"},
    ]
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    songs = load(tmp_path, tmp_path / "cache")
    assert [(r.song, r.stem, r.split) for r in songs.recordings] == [
        ("a", "vocals", "train"),
        ("a", "rest", "train"),
        ("b", "other", "valid"),
    ]


def test_a_wrong_stem_in_the_manifest_names_line_and_choices(tmp_path):
    (tmp_path / "manifest.csv").write_text("path,song,stem\nx.wav,a,drumms\n")
    with pytest.raises(MusicError, match=r"line 2: stem must be one of vocals, drums.*not 'drumms'"):
        load(tmp_path, tmp_path / "cache")


def test_a_single_stem_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    soundfile.write(tmp_path / "a" / "drums.wav", hits(np.random.default_rng(0)), SAMPLE_RATE)
    with pytest.raises(MusicError, match="at least two stems"):
        load(tmp_path, tmp_path / "cache")


def test_mixtures_depend_on_the_seed_alone_and_are_levelled(songs):
    mixer = Mixer(songs, "train", SHORT)
    once, again = (mixer(np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(once.targets, again.targets)
    assert not torch.equal(once.targets, mixer(np.random.default_rng(6)).targets)
    assert once.targets.shape == (2, len(STEMS), 2, SHORT.frames)
    levels = once.mixture.square().mean((1, 2)).sqrt()
    torch.testing.assert_close(levels, torch.ones(2), rtol=0.01, atol=0.01)


def test_every_stem_sounds_about_as_often_as_asked(songs):
    settings = MixingSettings(batch=8, frames=65_536, coherent=0.0, speed=0.0, equaliser=0.0, reverb=0.0)
    mixer = Mixer(songs, "train", settings)
    batches = [mixer(np.random.default_rng(seed)).targets for seed in range(12)]
    sounding = (torch.cat(batches).square().mean((2, 3)) > 1e-6).float().mean(0)
    # 96 mixtures: three deviations of a share are below 0.15.
    np.testing.assert_allclose(sounding, settings.presence, atol=0.16)


def test_a_voice_is_laid_over_an_accompaniment_and_often_there_is_none(tmp_path):
    rng = np.random.default_rng(0)
    for name, audio in (("vocals", tone(700, rng)), ("instrumental", hits(rng)), ("other", tone(2000, rng))):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / f"{name}.wav", audio, SAMPLE_RATE, subtype="PCM_16")
    for name in ("vocals", "other"):
        soundfile.write(tmp_path / "instrumental" / f"{name}.wav", tone(300, rng), SAMPLE_RATE)
    songs = load(tmp_path, tmp_path / "cache", lambda line: None)
    songs.recordings[:] = [replace(recording, split="train") for recording in songs.recordings]
    settings = replace(SHORT, batch=8, coherent=0.0, over=1.0, sung=0.75, alone=0.0, limiter=1.0)
    batches = [Mixer(songs, "train", settings)(np.random.default_rng(seed)) for seed in range(6)]
    groups = torch.cat([b.groups for b in batches])
    sum_of_three = torch.tensor([0.0, 1.0, 1.0, 1.0])
    assert (groups[:, 1] == sum_of_three).all()
    sung = (torch.cat([b.targets for b in batches])[:, 0].square().mean((1, 2)) > 1e-6).float().mean()
    # 48 mixtures: three deviations of a share are below 0.19.
    assert sung.item() == pytest.approx(0.75, abs=0.19)


def test_recordings_are_drawn_as_far_as_they_are_trusted(songs):
    mine = [replace(r, trust=0.25 if n else 1.0) for n, r in enumerate(songs.recordings[:3])]
    drawer = _Drawer(mine)
    rng = np.random.default_rng(0)
    drawn = [drawer(rng).path for _ in range(600)]
    assert drawn.count(mine[0].path) / 600 == pytest.approx(1 / 1.5, abs=0.06)


def test_a_manifest_may_name_a_part_of_a_file_and_its_gain(folder, tmp_path):
    path = str(folder / "song 2" / "05 Piano.wav")
    part = {"from_seconds": "1", "seconds": "1.5", "gain_db": "-6.0206", "trust": "0.5"}
    rows = [
        {"path": path, "song": "a", "stem": "other", **part},
        {"path": path, "song": "b", "stem": "vocals", **dict.fromkeys(part, "")},
    ]
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    songs = load(tmp_path, tmp_path / "cache")
    taken, whole = songs.recordings
    assert (taken.frames, taken.trust, whole.trust) == (round(1.5 * SAMPLE_RATE), 0.5, 1.0)
    heard = songs.audio(taken, 0, taken.frames)
    np.testing.assert_allclose(heard, 0.5 * songs.audio(whole, SAMPLE_RATE, taken.frames), atol=2 / 32768)


def test_only_songs_of_the_split_are_heard(songs):
    heard = {recording.song for recording in songs.recordings if recording.split == "train"}
    mixer = Mixer(songs, "train", SHORT)
    drawn = {r.song for by in mixer.by_stem.values() for rs in by.recordings.values() for r in rs}
    assert drawn == heard
    assert set(mixer.whole) == heard


def batch(targets, labels):
    return Batch(targets, torch.stack([groups_of(labels)] * len(targets)))


def test_the_loss_is_the_level_of_the_errors():
    targets = torch.randn(3, 4, 2, 4000)
    everything = batch(targets, list(STEMS))
    error = 0.1 * torch.randn_like(targets) * everything.mixture.square().mean().sqrt()
    assert separation_loss(targets + error, everything).item() == pytest.approx(
        10 * np.log10(0.01 + 10**-2.5), abs=0.1
    )
    assert separation_loss(targets, everything).item() == pytest.approx(-25.0, abs=EXACT)


def test_what_is_heard_of_a_silent_stem_costs_down_to_fifty_decibels():
    targets = torch.zeros(1, 4, 2, 4000)
    targets[:, 3] = torch.randn(2, 4000)
    sums = batch(targets, ["accompaniment"])
    assert separation_loss(targets, sums).item() == pytest.approx(-(25 + 0.2 * 50) / 2, abs=1e-3)
    heard = targets.clone()
    heard[:, 0] = 0.01 * targets[:, 3]
    heard[:, 3] *= 0.99
    # The silent voice is at -40 dB, the accompaniment as good as right.
    assert separation_loss(heard, sums).item() == pytest.approx(-(24.9 + 0.2 * 39.6) / 2, abs=0.2)


def test_the_loss_survives_silence():
    targets = torch.zeros(2, 4, 2, 4000)
    stems = torch.randn_like(targets).requires_grad_(True)
    loss = separation_loss(stems, batch(targets, list(STEMS)))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(stems.grad).all()


def test_stems_known_only_as_a_sum_may_be_shared_out_at_will():
    targets = torch.randn(1, 4, 2, 4000)
    rest = batch(targets, ["vocals", "drums", "rest"])
    moved = targets.clone()
    moved[:, 2] += 0.7
    moved[:, 3] -= 0.7
    assert separation_loss(moved, rest).item() == pytest.approx(-25.0, abs=1e-3)
    assert separation_loss(moved, batch(targets, list(STEMS))).item() > -20
    moved[:, 0] += 0.7
    assert separation_loss(moved, rest).item() > -20


def test_the_papers_layout_is_trained_on_what_it_has_full_context_for(songs):
    task = MusicTask(songs, SHORT, build(Architecture.paper(levels=3, growth=4)))
    part = task.batch(np.random.default_rng(0))
    stems = task.network(part.mixture)
    assert SHORT.frames <= stems.shape[-1] < part.targets.shape[-1]
    margin = (part.targets.shape[-1] - stems.shape[-1]) // 2
    exact = part.targets[..., margin : margin + stems.shape[-1]]
    least = separation_loss(exact, part).item()
    assert -25.0 - EXACT <= least <= -0.2 * 50.0 + EXACT
    assert task.loss(task.network, part).item() > least + 3.0


def test_a_few_steps_lower_the_loss_and_a_killed_run_goes_on(songs, tmp_path):
    torch.manual_seed(0)
    task = MusicTask(songs, SHORT, build(TINY))
    # 25 steps on mixtures of four tones and noise; the same mixtures before and after.
    fixed = [task.batch(np.random.default_rng((99, seed))) for seed in range(4)]

    def loss(network):
        with torch.no_grad():
            return np.mean([task.loss(network, part).item() for part in fixed])

    before = loss(task.network)
    settings = Settings(steps=25, warm_up_steps=5, learning_rate=3e-3, bfloat16=False, ema=0.9)
    trainer = Trainer(task, settings, tmp_path, lambda line: None)
    scores = trainer.run()
    assert loss(trainer.average) < before - 1.0
    assert np.isfinite(list(scores.values())).all()
    assert {key.rpartition("_")[2] for key in scores} >= {"vocals", "drums", "bass", "other"}
    resumed = Trainer(MusicTask(songs, SHORT, build(TINY)), settings, tmp_path, lambda line: None)
    resumed.resume(tmp_path / "checkpoint.pt")
    assert resumed.step == 25
    assert loss(resumed.average) == pytest.approx(loss(trainer.average), abs=1e-4)


def test_training_by_name_writes_weights_that_separate(folder, tmp_path, monkeypatch):
    from separators.neural.wave_u_net import WaveUNet
    from separators.training import music

    monkeypatch.setattr(music, "Architecture", lambda: TINY)
    out = tmp_path / "mine.safetensors"
    train(
        "wave-u-net",
        folder,
        out,
        settings=Settings(steps=2, bfloat16=False),
        work=tmp_path / "work",
        report=lambda line: None,
    )
    mixture = np.random.default_rng(0).standard_normal((2, 30_000)).astype(np.float32)
    stems = WaveUNet(weights=str(out)).separate(mixture, SAMPLE_RATE)
    assert list(stems) == list(STEMS)
    np.testing.assert_allclose(stems.array.sum(0), mixture, atol=EXACT)
