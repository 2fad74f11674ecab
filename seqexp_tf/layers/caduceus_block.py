"""One block of a Caduceus encoder."""

import keras
from keras import ops

from seqexp_tf.layers.bimamba import BiMamba
from seqexp_tf.layers.mamba_options import MambaLayer
from seqexp_tf.layers.reverse_complement import reverse_complement
from seqexp_tf.layers.rms_norm import RMSNorm


@keras.saving.register_keras_serializable("seqexp_tf")
class CaduceusBlock(MambaLayer):
    """``BiMamba`` of normalised features beside a residual.

    With ``reverse_complement``, the features are two halves: those of the strand given
    and, in the opposite order, those of the other strand. Both halves go through the
    same weights, each read along its own strand, so that the reverse complement of the
    input gives the reverse complement of the output: both its positions and its
    features turned round. See ``ReverseComplementEmbedding`` for where halves come
    from.

    Args:
        state: size of the state of each channel of the scans.
        kernel: bases that reach an output of the causal convolutions.
        expand: channels of each scan, as a multiple of the width (of a half).
        rank: rank of the step sizes; 0 is a sixteenth of the width (of a half),
            rounded up.
        depth: number of such blocks in the model, see ``MambaMixer``.
        reverse_complement: share weights between the strands.

    Call arguments:
        inputs: ``(batch, length, width)``.

    Returns:
        ``(batch, length, width)``.

    Raises:
        ValueError: an odd width with ``reverse_complement``.

    Example:

    ```python
    CaduceusBlock(depth=4)(keras.random.normal((2, 500, 128)))
    ```

    Reference:
        [Schiff et al. 2024](https://arxiv.org/abs/2403.03234), sections 3.2 and 3.3
    """

    def __init__(self, *, reverse_complement: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.reverse_complement = reverse_complement
        policy = self.dtype_policy
        self.norm = RMSNorm(dtype=policy, name="norm")
        self.mixer = BiMamba(**self.options, dtype=policy, name="mixer")

    def build(self, input_shape):
        shape = tuple(input_shape)
        if self.reverse_complement:
            if shape[-1] % 2:
                raise ValueError(f"{shape[-1]} features do not divide into two halves")
            shape = (*shape[:-1], shape[-1] // 2)
        self.norm.build(shape)
        self.mixer.build(shape)

    def call(self, inputs):
        if not self.reverse_complement:
            return inputs + self._branch(inputs)
        given, other = ops.split(inputs, 2, axis=-1)
        both = self._branch(ops.concatenate([given, reverse_complement(other)], axis=0))
        given, other = ops.split(both, 2, axis=0)
        return inputs + ops.concatenate([given, reverse_complement(other)], axis=-1)

    def _branch(self, x):
        return self.mixer(self.norm(x))

    def get_config(self):
        return {**super().get_config(), "reverse_complement": self.reverse_complement}
