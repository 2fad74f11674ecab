"""What the schema of a dataset of kind ``expression`` says beyond its arrays."""

from dataclasses import dataclass

CONTACT = "contact"
"""Name under which models see the contact, after the signals."""


CEILING = "ceiling"
"""Column of the window table with the best that could be predicted of each gene."""


@dataclass(frozen=True)
class SignalDetails:
    """One track of the array ``signals``.

    Attributes:
        name: of the track.
        transform: what was done to the values of the bigWig, in order, for example
            ``clip 100, log1p``; ``none`` for the values as they are.
        mean: over the bases of the training windows, each counted once, before a
            z-score.
        sd: standard deviation over the same bases.
        minimum: smallest stored value of any window; a model whose signals have to
            be zero or more may look here.
        maximum: largest stored value of any window.
    """

    name: str
    transform: str
    mean: float
    sd: float
    minimum: float
    maximum: float


@dataclass(frozen=True)
class FeatureDetails:
    """One entry of the array ``features``.

    Attributes:
        name: of the feature.
        log1p: whether ln(1 + x) was taken first.
        mean: over the training genes, after the logarithm.
        sd: standard deviation over the same genes; 1 where they are all alike.
    """

    name: str
    log1p: bool
    mean: float
    sd: float


@dataclass(frozen=True)
class TargetDetails:
    """The array ``target``.

    Attributes:
        name: the column of the gene table, or ``coverage``.
        transform: ``none``, ``log10p1`` (log10(x + 1)) or ``log1p`` (ln(x + 1)).
        unit: of the values before the transform.
        mean: over the training genes, after the transform.
        sd: standard deviation over the same genes.
    """

    name: str
    transform: str
    unit: str
    mean: float
    sd: float


@dataclass(frozen=True)
class ExpressionDetails:
    """Everything a reader needs that is no array.

    Attributes:
        oriented: whether windows are read along the strand of their gene.
        target: what is to be predicted.
        signals: the tracks of ``signals``, in order.
        features: the entries of ``features``, in order.
        standardised: whether ``features`` holds (x - mean) / sd.
        resolution: bases in a bin of ``contact``; 0 without contacts.
        contact: what the values of ``contact`` are.
    """

    oriented: bool
    target: TargetDetails
    signals: tuple[SignalDetails, ...] = ()
    features: tuple[FeatureDetails, ...] = ()
    standardised: bool = True
    resolution: int = 0
    contact: str = ""
