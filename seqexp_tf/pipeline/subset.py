"""A seeded part of the training windows; free of TensorFlow."""

import numpy as np

_SUBSET = 0x5EB5E7  # Keeps this draw apart from others of the same seed.


def subset_size(available: int, max_windows: int) -> int:
    """Returns how many of the available windows are used; 0 stands for all."""
    return min(available, max_windows or available)


def draw_subset(available: int, max_windows: int, *, seed: int) -> np.ndarray | None:
    """Draws windows uniformly without replacement.

    The draw depends on the arguments alone, so a resumed run and every worker see
    the same windows. Under one seed a smaller subset is part of every larger one.

    Args:
        available: windows of the split, counted in stored order.
        max_windows: how many to draw; 0, or as many as there are, is all.
        seed: seed of the draw.

    Returns:
        bool ``(available,)``, True where drawn; None for all.
    """
    size = subset_size(available, max_windows)
    if size == available:
        return None
    order = np.random.default_rng([seed, _SUBSET]).permutation(available)
    chosen = np.zeros(available, dtype=bool)
    chosen[order[:size]] = True
    return chosen


def describe_subset(available: int, max_windows: int) -> str:
    """Returns a line that says which windows a run trains on."""
    if max_windows > available:
        return (
            f"training.max_windows is {max_windows:,}, but there are only "
            f"{available:,} training windows: all are used"
        )
    return f"training on {max_windows:,} of {available:,} windows"
