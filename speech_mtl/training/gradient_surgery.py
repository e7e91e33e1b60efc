"""Gradient surgery in the shared encoder: one method per class.

All of them use only the inner products of the gradients and give how often each goes into the step: what they do
is arithmetic on T x T numbers. To add one, write a subclass of `GradientSurgery`, and a kind of
`GradientSettings` that names it. `tests/training/test_gradient_surgery.py` finds it by itself.
"""

from abc import ABC, abstractmethod

import numpy as np


class GradientSurgery(ABC):
    """Base of all methods.

    Args:
        seed: Seed of a method that uses random numbers.
    """

    def __init__(self, seed: int = 0):
        self.seed = seed

    def coefficients(self, products: np.ndarray, update: int) -> np.ndarray:
        """(T,) how often each task's gradient goes into the step; 0 for tasks without a gradient.

        Args:
            products: (T, T) inner products of the weighted tasks' gradients.
        """
        products = products.astype(np.float64)
        active = np.flatnonzero(np.diag(products) > 0)
        found = np.zeros(len(products))
        if len(active):
            found[active] = self.combine(products[np.ix_(active, active)], np.random.default_rng([self.seed, update]))
        return found

    @abstractmethod
    def combine(self, products: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The coefficients of tasks that all have a gradient."""


class PCGrad(GradientSurgery):
    """Yu et al. 2020, "Gradient surgery for multi-task learning", algorithm 1.

    Where a task's gradient conflicts with another's (negative inner product), the part along the other is taken off it,
    others in random order. What each task is left with is added up.
    """

    def combine(self, products: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        size = len(products)
        total = np.zeros(size)
        for task in range(size):
            own = np.eye(size)[task]  # the projected gradient as a combination of all
            for other in generator.permutation(size):
                product = own @ products[:, other]
                if other != task and product < 0:
                    own[other] -= product / products[other, other]
            total += own
        return total


class CAGrad(GradientSurgery):
    """Liu et al. 2021, "Conflict-averse gradient descent for multi-task learning", section 3 and algorithm 1.

    The step that helps the worst-off task most, within a ball around the mean gradient g_0 of radius
    `radius` * |g_0|. We differ in multiplying by T, since our objective is the sum of the tasks and not their mean.

    Args:
        radius: c of the paper, from 0, the plain sum, to below 1.
    """

    def __init__(self, radius: float, seed: int = 0):
        super().__init__(seed)
        self.radius = radius

    def combine(self, products: np.ndarray, generator: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        from scipy.optimize import minimize

        size = len(products)
        mean = np.full(size, 1.0 / size)
        scale = float(mean @ products @ mean)  # |g_0|^2
        if scale <= 0.0 or self.radius == 0.0:
            return np.ones(size)
        scaled = products / scale

        def length(weights: np.ndarray) -> float:  # |g_w| / |g_0|; where it is all but 0, there is no direction in it
            return float(np.sqrt(max(weights @ scaled @ weights, 1e-6)))

        def dual(weights: np.ndarray) -> float:
            return float(weights @ scaled @ mean) + self.radius * length(weights)

        def slope(weights: np.ndarray) -> np.ndarray:
            return scaled @ mean + self.radius * (scaled @ weights) / length(weights)

        simplex = {"type": "eq", "fun": lambda weights: weights.sum() - 1.0, "jac": lambda _weights: np.ones(size)}
        found = minimize(dual, mean, jac=slope, bounds=[(0.0, 1.0)] * size, constraints=[simplex], method="SLSQP")
        weights = np.clip(found.x, 0.0, 1.0)
        return size * (mean + self.radius * weights / length(weights))
