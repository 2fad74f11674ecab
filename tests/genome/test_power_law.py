"""Contact as a power law of distance."""

import numpy as np
import pytest

from seqexp_tf.errors import ConfigError
from seqexp_tf.genome.power_law import PowerLaw, fit_power_law


def test_the_constants_of_abc():
    law = PowerLaw()
    # exp(5.3181 - 0.87 ln(d + 1)), as at 1 Mb and at the shortest distance.
    np.testing.assert_allclose(
        law(np.array([0, -5000, 5000, 1e6])),
        [0.12343605, 0.12343605, 0.12343605, 0.00122920],
        rtol=1e-5,
    )
    assert (np.diff(law(np.arange(5000, 10**6, 5000))) < 0).all()


def test_a_law_is_found_again():
    distance = np.arange(5000, 10**6, 5000)
    law = PowerLaw(gamma=1.1, scale=7.0)
    contact = law(distance)
    contact[50] = 0  # no contact was seen here
    found = fit_power_law(distance, contact, minimum=5000)
    assert found.gamma == pytest.approx(1.1)
    assert found.scale == pytest.approx(7.0)
    assert found.minimum == 5000


def test_what_is_no_law():
    with pytest.raises(ConfigError, match="gamma is -1"):
        PowerLaw(gamma=-1)
    with pytest.raises(ConfigError, match="gamma"):
        fit_power_law(np.array([1, 2, 3]), np.array([1.0, 2.0, 3.0]), minimum=1)
    with pytest.raises(ConfigError, match="fewer than three distances"):
        fit_power_law(np.array([1, 2, 3]), np.array([1.0, 0.0, 0.0]), minimum=1)
