from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax
from scipy.stats import entropy

from speech_mtl.data.manifest import manifest_path
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.folder import Run
from speech_mtl.run.language_detection import LanguageDetector, fitted, score
from speech_mtl.screen import Screen


def detector(run: Run) -> LanguageDetector:
    return LanguageDetector(run, load_recognizer(run), Screen())


@pytest.fixture
def copied(with_settings: Callable[..., Run]) -> Run:
    """A run of its own, whose calibration a test may change."""
    return with_settings("copied", {})


def test_the_score_is_minus_the_entropy_where_something_is_said():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.9, 0.05, 0.05], [0.2, 0.2, 0.6]])
    assert score(np.log(probabilities)) == pytest.approx(
        -np.mean([entropy(probabilities[1]), entropy(probabilities[3])])
    )
    assert score(np.log(probabilities[[0, 2]])) == score(np.zeros((0, 3))) == pytest.approx(-np.log(3))


def test_scale_and_offsets_are_those_of_the_greatest_likelihood():
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [50, 20, 100])
    scores = generator.standard_normal((170, 3)) + 0.7 * np.eye(3)[labels] + [0.0, 1.0, -3.0]
    weights = np.array([1 / 50, 1 / 20, 1 / 100])[labels]

    def loss(parameters: np.ndarray) -> float:
        return -float(weights @ log_softmax(parameters[0] * scores + parameters[1:], axis=1)[range(170), labels])

    expected = minimize(loss, [1.0, 0, 0, 0], method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-6}).x
    scale, offsets = fitted(scores, labels)
    assert scale == pytest.approx(expected[0], rel=1e-3)
    np.testing.assert_allclose(offsets, expected[1:] - expected[1:].mean(), atol=2e-3)
    right = (scale * scores + offsets).argmax(axis=1) == labels
    assert right.mean() > (scores.argmax(axis=1) == labels).mean()


def test_scores_that_tell_nothing_count_for_nothing():
    labels = np.repeat([0, 1], 50)
    scale, offsets = fitted(np.where(np.eye(2)[labels], -1.0, 1.0), labels)  # the right language is the less sure
    assert scale == 0
    np.testing.assert_allclose(offsets, 0, atol=1e-3)


def test_the_calibration_is_made_once_for_the_weights(copied: Run, speak: Callable, capsys: pytest.CaptureFixture[str]):
    first = detector(copied).calibrate()
    assert f"what was found is in {copied.path}/languages.json" in capsys.readouterr().err
    assert first["utterances"] == {"aa": 6, "bb": 6}
    found = detector(copied).detect([speak("abcd")], ["aa", "bb"])
    assert sum(found.values()) == pytest.approx(1)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert capsys.readouterr().err == ""
    head = next(copied.best_folder().rglob("heads/aa.safetensors"))
    head.with_name("bb.safetensors").write_bytes(head.read_bytes())
    (copied.best_folder() / "contents.json").unlink()
    assert detector(copied).calibrate()["weights"] != first["weights"]
    assert "what was found is in" in capsys.readouterr().err


def test_without_validation_sets_it_is_told(copied: Run, speak: Callable, capsys: pytest.CaptureFixture[str]):
    recipe = copied.recipe()
    copied.write_settings(recipe.overridden({"data.dir": str(copied.path / "gone")}))
    found = detector(copied).detect([speak("abcd")], ["aa", "bb"])
    err = " ".join(capsys.readouterr().err.split())
    assert "warning languages are detected without calibration, and worse" in err
    assert str(manifest_path(copied.path / "gone", "aa", "dev")) in err
    assert sum(found.values()) == pytest.approx(1)
    assert not (copied.path / "languages.json").exists()


class Sure:
    """A recogniser whose output layers are as sure as a waveform tells: its samples by language."""

    sample_rate_hz = 10
    tokenizers: Mapping[str, None] = {"aa": None, "bb": None}

    def log_probabilities_by_language(
        self, waveforms: Sequence[np.ndarray], languages: Sequence[str], _batch_s: float
    ) -> dict[str, list[np.ndarray]]:
        places = {language: list(self.tokenizers).index(language) for language in languages}
        sure = {name: [0.5 + abs(float(one[place])) / 2 for one in waveforms] for name, place in places.items()}
        return {name: [np.log([[(1 - one) / 2, one, (1 - one) / 2]]) for one in own] for name, own in sure.items()}


def test_the_surest_output_layer_wins_by_the_length_of_what_it_is_sure_of(copied: Run):
    languages = LanguageDetector(copied, Sure(), Screen())  # pyright: ignore[reportArgumentType]
    languages._calibration = {"weights": "", "scale": 10.0, "offsets": {"aa": 0.0, "bb": 0.0}, "utterances": {}}
    long, short = np.full(200, 0.9), np.full(10, 0.1)
    long[1], short[1] = 0.1, 0.9
    assert next(iter(languages.detect([short, long], ["aa", "bb"]))) == "aa"
    assert next(iter(languages.detect([short], ["aa", "bb"]))) == "bb"
    assert next(iter(languages.detect([long, *[short] * 1000], ["bb", "aa"]))) == "aa"  # no more than 30 s count
    languages._calibration["offsets"]["bb"] = 20.0
    assert next(iter(languages.detect([long], ["aa", "bb"]))) == "bb"
