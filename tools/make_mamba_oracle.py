#!/usr/bin/env python
"""Writes what the Mamba mixer of Hugging Face transformers computes.

Inputs, weights, outputs and gradients of its slow path on a CPU, in float32: the file
against which the tests hold ``seqexp_tf.layers.MambaMixer``, so that they need neither
PyTorch nor transformers (the extra ``oracle``).

\b
Example:
  pip install 'seqexp-tf[oracle]'
  python tools/make_mamba_oracle.py --out tests/layers/data/mamba_mixer.npz
"""

from pathlib import Path

import click
import numpy as np

BATCH, LENGTH, WIDTH, STATE, KERNEL, EXPAND, RANK = 2, 45, 24, 16, 4, 2, 3


def compute() -> dict[str, np.ndarray]:
    """Returns the arrays by name: ``input``, ``output``, ``upstream`` (gradient of
    the output), ``weight/NAME`` and ``gradient/NAME``, with PyTorch's names."""
    import torch
    from transformers import MambaConfig
    from transformers.models.mamba.modeling_mamba import MambaMixer

    torch.manual_seed(1)
    mixer = MambaMixer(
        MambaConfig(
            hidden_size=WIDTH,
            state_size=STATE,
            conv_kernel=KERNEL,
            expand=EXPAND,
            time_step_rank=RANK,
            use_bias=False,
            use_conv_bias=True,
        ),
        layer_idx=0,
    )
    with torch.no_grad():
        for name, weight in mixer.named_parameters():
            # These begin the same in every channel.
            if name in ("A_log", "D"):
                weight += 0.3 * torch.randn(weight.shape)
    x = torch.randn(BATCH, LENGTH, WIDTH, requires_grad=True)
    upstream = torch.randn(BATCH, LENGTH, WIDTH)
    output = mixer.slow_forward(x)
    (output * upstream).sum().backward()
    tensors = {"input": x, "output": output, "upstream": upstream}
    tensors["gradient/input"] = x.grad
    for name, weight in mixer.named_parameters():
        tensors[f"weight/{name}"] = weight
        tensors[f"gradient/{name}"] = weight.grad
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE")
def main(out: Path) -> None:
    np.savez_compressed(out, **compute())
    click.echo(f"{out}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
