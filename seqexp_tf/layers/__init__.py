"""Keras layers; importing this registers them, so that saved models load."""

from seqexp_tf.layers.attention import SelfAttention
from seqexp_tf.layers.beta_mask import (
    BetaDivergence,
    BetaHead,
    BetaMask,
    BetaProduct,
    SignalBeta,
)
from seqexp_tf.layers.bimamba import BiMamba
from seqexp_tf.layers.caduceus_block import CaduceusBlock
from seqexp_tf.layers.causal_convolution import CausalConvolution
from seqexp_tf.layers.center_pooling import CenterMean, WeightedMean
from seqexp_tf.layers.compiled_layer import compiled_layers
from seqexp_tf.layers.dilated_block import DilatedBlock
from seqexp_tf.layers.frozen import Frozen
from seqexp_tf.layers.mamba_block import MambaBlock
from seqexp_tf.layers.mamba_mixer import GatedScan, MambaMixer
from seqexp_tf.layers.mask_regions import HardMask, MaskRegions, TopFraction
from seqexp_tf.layers.masked_embedding import MaskedEmbedding
from seqexp_tf.layers.packing import LearnedPositions, PackSelected
from seqexp_tf.layers.positions import SinusoidalPositions
from seqexp_tf.layers.reverse_complement import (
    ReverseComplementEmbedding,
    ReverseComplementMean,
)
from seqexp_tf.layers.rms_norm import RMSNorm
from seqexp_tf.layers.segment_context import SegmentContext
from seqexp_tf.layers.segments import SpreadSegments
from seqexp_tf.layers.selective_scan import SelectiveScan, selective_scan
from seqexp_tf.layers.transformer_block import TransformerBlock
from seqexp_tf.layers.warm_up import GradientWarmUp

__all__ = [
    "BetaDivergence",
    "BetaHead",
    "BetaMask",
    "BetaProduct",
    "BiMamba",
    "CaduceusBlock",
    "CausalConvolution",
    "CenterMean",
    "DilatedBlock",
    "Frozen",
    "GatedScan",
    "GradientWarmUp",
    "HardMask",
    "LearnedPositions",
    "MambaBlock",
    "MambaMixer",
    "MaskRegions",
    "MaskedEmbedding",
    "PackSelected",
    "RMSNorm",
    "ReverseComplementEmbedding",
    "ReverseComplementMean",
    "SegmentContext",
    "SelectiveScan",
    "SelfAttention",
    "SignalBeta",
    "SinusoidalPositions",
    "SpreadSegments",
    "TopFraction",
    "TransformerBlock",
    "WeightedMean",
    "compiled_layers",
    "selective_scan",
]
