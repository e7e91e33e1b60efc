"""Learning rate by update."""

import math


def warmup_cosine(update: int, peak: float, final: float, warmup_updates: int, num_updates: int) -> float:
    """Rises linearly to the peak at `warmup_updates`, then falls along half a cosine to `final` at `num_updates`.

    Reference: Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts; the warm-up is that of Vaswani et al.
    2017, "Attention is all you need", section 5.3.
    """
    if update < warmup_updates:
        return peak * (update + 1) / warmup_updates
    progress = (update - warmup_updates) / max(1, num_updates - warmup_updates)
    return final + (peak - final) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def warmup_cooldown(
    update: int, peak: float, final: float, warmup_updates: int, cooldown_updates: int, num_updates: int
) -> float:
    """Rises linearly to the peak at `warmup_updates`, stays, and falls linearly to `final` over the last updates.

    Where training ends need not be known until the cooldown begins, unlike with a cosine. Where there are too few
    updates for both, the lower of the two counts.

    Reference: Hägele et al. 2024, "Scaling laws and compute-optimal training beyond fixed training durations", section
    3. We differ in beginning the cooldown where the validation error no longer falls; see `progress.Progress`.
    """
    left = (num_updates - update) / max(1, cooldown_updates)
    rising = peak * (update + 1) / warmup_updates if update < warmup_updates else peak
    return min(rising, final + (peak - final) * min(1.0, max(0.0, left)))
