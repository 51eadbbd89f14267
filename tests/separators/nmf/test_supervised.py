import numpy as np
import pytest

from separators import NMF, ParameterError
from separators.evaluation import si_sdr
from separators.nmf.dictionary import DictionaryError
from separators.nmf.supervised import REST
from tests.separators.nmf.dictionaries import HIGH, LOW, RATE, hits, learned, notes

SUM_DB = -120.0
BETTER_DB = 4.0
"""How much each stem of the mixture below is better than the mixture, at least."""


@pytest.fixture(scope="module")
def band(tmp_path_factory):
    """A dictionary of low notes and hits, learned from other notes and hits than are mixed here."""
    path = tmp_path_factory.mktemp("dictionaries") / "band.safetensors"
    path.write_bytes(learned().to_bytes())
    return str(path)


def error_db(estimate, reference):
    return 20 * np.log10(np.linalg.norm(estimate - reference) / np.linalg.norm(reference) + 1e-30)


def improvements(sources, stems):
    mixture = sum(sources.values())
    return {name: si_sdr(audio, stems[name]) - si_sdr(audio, mixture) for name, audio in sources.items()}


@pytest.mark.parametrize("values", [{}, {"beta": 0}, {"beta": 2}, {"channels": "panned"}, {"sparsity": 0.1}])
def test_what_the_dictionary_knows_comes_apart_and_bears_its_names(band, values):
    sources = {"notes": notes(LOW, seed=1), "hits": hits(seed=2)}
    stems = NMF(mode="supervised", dictionary=band, **values).separate(sum(sources.values()), RATE)
    assert stems.names == ("notes", "hits")
    assert min(improvements(sources, stems).values()) > BETTER_DB
    assert error_db(stems.array.sum(axis=0), sum(sources.values())) < SUM_DB


@pytest.mark.parametrize("channels", ["linked", "panned"])
def test_what_it_does_not_know_is_the_rest(band, channels):
    sources = {"notes": notes(LOW, seed=1), "hits": hits(seed=2), REST: notes(HIGH, seed=3)}
    separator = NMF(mode="semi-supervised", dictionary=band, components=6, channels=channels)
    stems = separator.separate(sum(sources.values()), RATE)
    assert stems.names == ("notes", "hits", REST)
    assert min(improvements(sources, stems).values()) > BETTER_DB / 2
    assert error_db(stems.array.sum(axis=0), sum(sources.values())) < SUM_DB


def test_without_a_rest_nothing_is_learned_from_the_mixture(band):
    separator = NMF(mode="supervised", dictionary=band)
    alone, mixture = notes(LOW, seed=1), notes(LOW, seed=1) + hits(seed=2)
    transforms = [separator.fit(sample, RATE) for sample in (alone, np.ascontiguousarray(mixture))]
    stems = [transform(mixture) for transform in transforms]
    assert error_db(*stems) < -60


def test_blocks_follow_one_another_without_a_seam(band):
    class InShortBlocks(NMF):
        block_seconds, overlap_seconds = 1.0, 0.5

    mixture = notes(LOW, seed=1) + hits(seed=2)
    values = {"mode": "supervised", "dictionary": band}
    whole, pieces = (kind(**values).separate(mixture, RATE).array for kind in (NMF, InShortBlocks))
    assert error_db(pieces, whole) < -40


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
def test_a_dictionary_serves_other_rates(band, rate):
    sources = {"notes": notes(LOW, seed=1, rate=rate), "hits": hits(seed=2, rate=rate)}
    stems = NMF(mode="supervised", dictionary=band).separate(sum(sources.values()), rate)
    assert min(improvements(sources, stems).values()) > 0


def test_the_second_templates_tell_parts_apart_that_share_a_note(tmp_path):
    """Both play the same note: only mixtures show what belongs to whom."""
    shared = (220, 262, 311, 440)
    sources = {"notes": notes(shared, seed=1), "high": notes((*HIGH, 440), seed=3)}
    made = learned(notes=notes(shared, seed=5), high=notes((*HIGH, 440), seed=6))
    plain = {name: part._replace(made_of=part.found_by) for name, part in made.parts.items()}
    scores = []
    for number, parts in enumerate((plain, made.parts)):
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(type(made)(parts, made.sample_rate, made.fft_size).to_bytes())
        stems = NMF(mode="supervised", dictionary=str(path)).separate(sum(sources.values()), RATE)
        scores.append(np.mean(list(improvements(sources, stems).values())))
    assert scores[1] > scores[0]


@pytest.mark.parametrize("mode", ["supervised", "semi-supervised"])
def test_a_mode_without_its_dictionary_is_refused_at_once(mode, tmp_path):
    with pytest.raises(
        ParameterError, match=f"mode {mode} needs a dictionary; `stembridge dictionary learn`"
    ):
        NMF(mode=mode)
    with pytest.raises(DictionaryError, match="there is no dictionary"):
        NMF(mode=mode, dictionary=str(tmp_path / "none.safetensors"))


def test_other_modes_need_no_dictionary_and_take_none():
    assert NMF().stem_names(1)
    with pytest.raises(ParameterError, match="dictionary not there needs mode supervised or semi-supervised"):
        NMF(dictionary="not there")
