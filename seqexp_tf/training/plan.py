"""How many steps a fit takes, and when it stops to validate."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Steps of a fit.

    Attributes:
        epoch: batches in one pass over the training windows.
        period: steps between two validations.
        total: steps of the whole fit; the last period may be shorter.
    """

    epoch: int
    period: int
    total: int

    @property
    def periods(self) -> int:
        """Number of validations."""
        return -(-self.total // self.period)

    def steps_after(self, periods: int) -> int:
        """Returns the steps done when so many periods are."""
        return min(periods * self.period, self.total)

    def begun(self, step: int, finished: int) -> int:
        """Returns how many of ``step`` steps belong to the period not yet validated."""
        return step - self.steps_after(finished)

    def legs(self, finished: int, begun: int = 0) -> Iterator[tuple[int, int, int]]:
        """Yields what is left after so many periods: from, to, steps a period.

        Three legs at most: the rest of a period, whole ones, and a shorter last one.

        Args:
            finished: periods that have been validated.
            begun: steps of the next one that are done, all of them if only its
                validation is left.
        """
        if begun:
            end = self.steps_after(finished + 1)
            yield finished, finished + 1, end - self.steps_after(finished) - begun
            finished += 1
        whole, rest = divmod(self.total, self.period)
        if finished < whole:
            yield finished, whole, self.period
        if rest and finished <= whole:
            yield whole, whole + 1, rest
