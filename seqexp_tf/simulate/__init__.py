"""A small genome with planted grammar: DNA and contacts decide expression.

Every promoter, enhancer, decoy and terminator is known, and so is the function
that turns them into expression, so that a model can be judged against the truth:

    ln expression  = BASELINE
                   + TATA score x sum(strength of the promoter's motif sites)
                   + sum(enhancer strength x contact)
                   + noise

An enhancer acts where a loop joins it to a working promoter of its own family.

Example:
    >>> from seqexp_tf.simulate import SimulationConfig, simulate
    >>> simulation = simulate(SimulationConfig(seed=1, contigs=2))
    >>> simulation.genes.shape[0] > 100
    True
"""

from seqexp_tf.simulate.build import Simulation, simulate
from seqexp_tf.simulate.config import SimulationConfig
from seqexp_tf.simulate.files import write_simulation

__all__ = ["Simulation", "SimulationConfig", "simulate", "write_simulation"]
