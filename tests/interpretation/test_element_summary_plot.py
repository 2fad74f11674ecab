import numpy as np
import pandas as pd
import pytest

from seqexp_tf.interpretation.element_summary_plot import plot_element_summary


def _genes(strands):
    return pd.DataFrame(
        {
            "tss": [1000] * len(strands),
            "start": [920] * len(strands),
            "end": [1080] * len(strands),
            "strand": list(strands),
            "mask_mean": np.linspace(0.1, 0.3, len(strands)),
        }
    )


def test_the_share_of_selected_bases_by_distance():
    # Both windows have 159 of their 160 bases within 80 of the TSS on either side;
    # in each, the twenty bases next upstream of the TSS are one element.
    elements = pd.DataFrame({"centre_distance": [-10.5, -10.5], "length": [20, 20]})
    figure = plot_element_summary(elements, _genes("+-"))
    (stairs,) = figure.axes[0].patches
    share, edges, _ = stairs.get_data()
    assert edges[0] == pytest.approx(-0.0805) and edges[-1] == pytest.approx(0.0805)
    middle = (edges[1:] + edges[:-1]) / 2 * 1000
    inside = (middle > -19) & (middle < -2)
    assert share[inside] == pytest.approx(100)
    assert share[(middle < -22) | (middle > 1)] == pytest.approx(0)
    assert share.max() <= 100 + 1e-9


def test_windows_cut_by_their_contig_count_as_far_as_they_go():
    genes = _genes("++")
    genes.loc[1, "start"] = 1000
    elements = pd.DataFrame({"centre_distance": [-40.0], "length": [61]})
    figure = plot_element_summary(elements, genes)
    share, edges, _ = figure.axes[0].patches[0].get_data()
    middle = (edges[1:] + edges[:-1]) / 2 * 1000
    # The one window that reaches there has all of it selected.
    assert share[(middle > -69) & (middle < -11)] == pytest.approx(100)
