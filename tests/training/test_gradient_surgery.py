"""What the package relies on in any way to combine gradients, found by itself; and each by its paper."""

import numpy as np
import pytest
from scipy.optimize import minimize
from usual import usual

from speech_mtl.settings.training import CAGradSettings, GradientSettings
from speech_mtl.training.gradient_surgery import PCGrad

KINDS = GradientSettings.kinds()
every_kind = pytest.mark.parametrize("kind", sorted(KINDS))


def gradients(size: int, seed: int, width: int = 6) -> np.ndarray:
    """(T, P) of different lengths, some of which conflict."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(size, width)) * generator.uniform(0.3, 3.0, (size, 1))


@every_kind
def test_a_task_without_gradient_has_no_part(kind):
    """And the others' coefficients are as if it was not there."""
    rows = gradients(3, 0)
    expected = usual(KINDS[kind]).coefficients(rows @ rows.T, 4)
    assert expected.shape == (3,)
    filled = np.insert(rows, [0, 1, 3], 0.0, axis=0)
    found = usual(KINDS[kind]).coefficients((filled @ filled.T).astype("float32"), 4)
    assert found[[0, 2, 5]].tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(found[[1, 3, 4]], expected, rtol=1e-4)
    assert usual(KINDS[kind]).coefficients(np.zeros((4, 4)), 0).tolist() == [0.0] * 4


@every_kind
def test_one_task_keeps_its_gradient_in_direction(kind):
    found = usual(KINDS[kind]).coefficients(np.diag([0.0, 9.0]), 0)
    assert found[0] == 0.0
    assert found[1] >= 1.0 - 1e-9


@every_kind
def test_coefficients_do_not_depend_on_the_scale(kind):
    for seed in range(5):
        rows = gradients(4, seed)
        one, other = (usual(KINDS[kind]).coefficients(s * rows @ rows.T, 1) for s in (1.0, 1e-6))
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


@every_kind
def test_same_update_and_seed_same_coefficients(kind):
    rows = gradients(5, 1)
    products, before = rows @ rows.T, rows @ rows.T
    one, again = (usual(KINDS[kind], seed=2).coefficients(products, 3) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(products, before)


@every_kind
@pytest.mark.parametrize("seed", range(10))
def test_two_conflicting_tasks_are_hurt_less_than_by_their_sum(kind, seed):
    rows = gradients(2, seed)
    rows[1] -= 1.5 * rows[1] @ rows[0] / (rows[0] @ rows[0]) * rows[0] * (rows[1] @ rows[0] > 0)
    assert rows[0] @ rows[1] < 0
    step = usual(KINDS[kind]).coefficients(rows @ rows.T, seed) @ rows
    assert (rows @ step).min() > (rows @ rows.sum(axis=0)).min()


def pcgrad_on_vectors(rows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Yu et al. 2020, algorithm 1, line by line."""
    projected = rows.copy()
    for i in range(len(rows)):
        for j in generator.permutation(len(rows)):
            if j != i and projected[i] @ rows[j] < 0:
                projected[i] -= projected[i] @ rows[j] / np.linalg.norm(rows[j]) ** 2 * rows[j]
    return projected.sum(axis=0)


@pytest.mark.parametrize("width", [2, 6])
@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_pcgrad_equals_the_algorithm_on_vectors(size, width):
    changed = 0
    for seed in range(20):
        rows = gradients(size, seed, width)
        coefficients = PCGrad(seed=7).coefficients(rows @ rows.T, update=seed)
        expected = pcgrad_on_vectors(rows, np.random.default_rng([7, seed]))
        np.testing.assert_allclose(coefficients @ rows, expected, rtol=1e-9, atol=1e-12)
        changed += not np.allclose(expected, rows.sum(axis=0))
    assert changed >= 5


def test_pcgrad_of_two_tasks():
    """Each is left with what is orthogonal to the other; |g_1|^2 = 4, |g_2|^2 = 1, inner product -1."""
    rows = np.array([[2.0, 0.0], [-0.5, np.sqrt(0.75)]])
    coefficients = PCGrad().coefficients(rows @ rows.T, 0)
    np.testing.assert_allclose(coefficients, [1 + 1 / 4, 1 + 1], rtol=1e-9)


def test_pcgrad_without_conflict_is_the_sum():
    rows = np.abs(gradients(4, 0))
    assert PCGrad().coefficients(rows @ rows.T, 0).tolist() == [1.0] * 4
    assert PCGrad().coefficients(np.diag([1.0, 2.0, 3.0]), 0).tolist() == [1.0] * 3


def test_pcgrad_draws_its_order_anew():
    found = set()
    rows = gradients(5, 3)
    for seed, update in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1)):
        found.add(tuple(PCGrad(seed).coefficients(rows @ rows.T, update).round(9)))
    assert len(found) > 2


def random_steps(mean: np.ndarray, radius: float, generator: np.random.Generator) -> np.ndarray:
    """Points in and on a ball around the mean gradient."""
    directions = generator.normal(size=(40_000, len(mean)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = np.where(generator.uniform(size=40_000) < 0.7, 1.0, generator.uniform(size=40_000))
    return mean + radius * np.linalg.norm(mean) * lengths[:, None] * directions


@pytest.mark.parametrize("radius", [0.2, 0.4, 0.9])
@pytest.mark.parametrize("size", [2, 3])
def test_cagrad_helps_the_worst_task_most(size, radius):
    """No step in the ball around the mean gradient is better for the task that it helps least."""
    generator = np.random.default_rng(0)
    for seed in range(6):
        rows = gradients(size, seed, width=3)
        mean = rows.mean(axis=0)
        step = usual(CAGradSettings, radius=radius).coefficients(rows @ rows.T, 0) @ rows / size
        assert np.linalg.norm(step - mean) <= radius * np.linalg.norm(mean) * (1 + 1e-6)
        tried = (random_steps(mean, radius, generator) @ rows.T).min(axis=1)
        worst, scale = (rows @ step).min(), np.linalg.norm(mean) * np.linalg.norm(rows, axis=1).max()
        assert worst >= tried.max() - 1e-4 * scale
        assert worst <= tried.max() + 0.05 * scale, "the search finds nearly as good a step"
        assert worst > (rows @ mean).min()


@pytest.mark.parametrize("size", [3, 5])
def test_cagrad_equals_the_problem_solved_directly(size):
    """Liu et al. 2021, equation 1: maximise over steps, not over the shares of its dual."""
    for seed in range(6):
        rows = gradients(size, seed)
        rows /= np.linalg.norm(rows.mean(axis=0))
        mean = rows.mean(axis=0)
        bounds = [
            {"type": "ineq", "fun": lambda x, rows=rows: rows @ x[:-1] - x[-1]},
            {"type": "ineq", "fun": lambda x, mean=mean: 0.16 - ((x[:-1] - mean) ** 2).sum()},
        ]
        start = np.append(mean, (rows @ mean).min())
        found = minimize(lambda x: -x[-1], start, constraints=bounds, method="SLSQP", options={"ftol": 1e-10})
        step = usual(CAGradSettings, radius=0.4).coefficients(rows @ rows.T, 0) @ rows / size
        assert found.success
        assert (rows @ step).min() == pytest.approx(-found.fun, abs=2e-3)


def test_cagrad_of_radius_zero_is_the_sum():
    rows = gradients(4, 0)
    assert usual(CAGradSettings, radius=0.0).coefficients(rows @ rows.T, 0).tolist() == [1.0] * 4


def test_cagrad_where_the_gradients_cancel():
    """There is no mean to stay close to."""
    rows = np.array([[1.0, 2.0], [-1.0, -2.0]])
    assert np.isfinite(usual(CAGradSettings).coefficients(rows @ rows.T, 0)).all()
    np.testing.assert_allclose(usual(CAGradSettings).coefficients(rows @ rows.T, 0) @ rows, 0.0, atol=1e-9)
