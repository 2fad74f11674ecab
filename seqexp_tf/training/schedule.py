"""Learning rate by step: a linear rise to the peak, then a cosine."""

import keras


def warmup_cosine(
    *, initial: float, peak: float, final_fraction: float, warmup: int, total: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns the schedule of Loshchilov & Hutter 2017 after a linear rise.

    Args:
        initial: learning rate of the first step; not used without a rise.
        peak: learning rate where the rise ends.
        final_fraction: learning rate at the last step and after it, as a share of
            the peak.
        warmup: steps of the rise; at least one step is left for the cosine.
        total: steps of both.
    """
    warmup = min(warmup, total - 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=initial if warmup else peak,
        decay_steps=total - warmup,
        alpha=final_fraction,
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
    )
