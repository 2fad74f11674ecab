import keras
import numpy as np
import pytest
from scipy.special import softmax

from seqexp_tf.layers import TransformerBlock


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("normalization", ["post", "pre"])
def test_layer_contract(check_layer, normalization):
    attention = 8 * 24 + 24 + 8 * 8 + 8
    feed_forward = 8 * 20 + 20 + 20 * 8 + 8
    check_layer(
        "TransformerBlock",
        {"heads": 2, "feed_forward": 20, "normalization": normalization},
        _draw(2, 30, 8),
        (2, 30, 8),
        attention + feed_forward + 2 * 2 * 8,
    )


def _norm(x, gamma, beta):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * gamma + beta


def _attention(x, weights, name):
    query, key, value = np.split(
        x @ weights[f"{name}/project/kernel"] + weights[f"{name}/project/bias"], 3, -1
    )
    heads = []
    for at in np.split(np.arange(x.shape[-1]), 2):
        scores = query[..., at] @ key[..., at].swapaxes(1, 2) / np.sqrt(at.size)
        heads.append(softmax(scores, axis=-1) @ value[..., at])
    joined = np.concatenate(heads, -1)
    return joined @ weights[f"{name}/combine/kernel"] + weights[f"{name}/combine/bias"]


@pytest.mark.parametrize("normalization", ["post", "pre"])
def test_written_out_in_numpy(normalization):
    layer = TransformerBlock(
        heads=2, feed_forward=12, normalization=normalization, name="b"
    )
    x = _draw(2, 25, 8)
    layer(x)
    weights = {}
    for index, weight in enumerate(layer.weights):
        weight.assign(_draw(*weight.shape, seed=index) * 0.5 + 0.2)
        weights[weight.path.removeprefix("b/")] = weight.numpy()

    def attention(x):
        return _attention(x, weights, "attention")

    def feed_forward(x):
        hidden = np.maximum(x @ weights["hidden/kernel"] + weights["hidden/bias"], 0)
        return hidden @ weights["output_map/kernel"] + weights["output_map/bias"]

    def norm(x, name):
        return _norm(x, weights[f"{name}/gamma"], weights[f"{name}/beta"])

    if normalization == "post":
        wanted = norm(x + attention(x), "attention_norm")
        wanted = norm(wanted + feed_forward(wanted), "feed_forward_norm")
    else:
        wanted = x + attention(norm(x, "attention_norm"))
        wanted = wanted + feed_forward(norm(wanted, "feed_forward_norm"))
    np.testing.assert_allclose(layer(x), wanted, atol=1e-4, rtol=1e-3)


def test_equal_to_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for normalization in ("post", "pre"):
        ours = TransformerBlock(
            heads=4, feed_forward=24, normalization=normalization, name="b"
        )
        x = _draw(2, 40, 16)
        ours(x)
        theirs = torch.nn.TransformerEncoderLayer(
            16, 4, 24, 0.0, batch_first=True, norm_first=normalization == "pre"
        ).eval()
        w = {weight.path: torch.tensor(weight.numpy()) for weight in ours.weights}
        state = {
            "self_attn.in_proj_weight": w["b/attention/project/kernel"].T,
            "self_attn.in_proj_bias": w["b/attention/project/bias"],
            "self_attn.out_proj.weight": w["b/attention/combine/kernel"].T,
            "self_attn.out_proj.bias": w["b/attention/combine/bias"],
            "linear1.weight": w["b/hidden/kernel"].T,
            "linear1.bias": w["b/hidden/bias"],
            "linear2.weight": w["b/output_map/kernel"].T,
            "linear2.bias": w["b/output_map/bias"],
            "norm1.weight": w["b/attention_norm/gamma"],
            "norm1.bias": w["b/attention_norm/beta"],
            "norm2.weight": w["b/feed_forward_norm/gamma"],
            "norm2.bias": w["b/feed_forward_norm/beta"],
        }
        theirs.load_state_dict(state)
        with torch.no_grad():
            wanted = theirs(torch.tensor(x)).numpy()
        np.testing.assert_allclose(ours(x), wanted, atol=1e-5)


def test_dropout_acts_in_training_alone():
    layer = TransformerBlock(heads=2, feed_forward=12, dropout=0.5)
    x = _draw(1, 10, 8)
    still = [keras.ops.convert_to_numpy(layer(x, training=False)) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    moving = [keras.ops.convert_to_numpy(layer(x, training=True)) for _ in range(2)]
    assert np.abs(moving[0] - moving[1]).max() > 0.1
