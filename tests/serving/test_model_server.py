"""Files a model server starts from: read by its own protos, and never the user's."""

import dataclasses

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)

from seqexp_tf.errors import RunError
from seqexp_tf.serving.card import CARD, DatasetCard, ModelCard
from seqexp_tf.serving.model_server import write_server_files

CARD_OF = ModelCard(
    name="a",
    task="joint",
    architecture="cnn",
    window=2048,
    inputs=(),
    signatures={},
    seqexp_tf="0.1.0",
    model_sha256="",
    dataset=DatasetCard("", ""),
    expression_value=0.5,
)


def _model_configs(path):
    config = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    return text_format.Parse(path.read_text(), config.ModelServerConfig())


def _batching_parameters(path):
    """Read by the names and types of TF Serving's session_bundle_config.proto, which
    its Python package leaves out."""
    file = descriptor_pb2.FileDescriptorProto(
        name="batching.proto", package="test", syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )  # fmt: skip
    message = file.message_type.add(name="BatchingParameters")
    types = {
        "max_batch_size": "Int64Value",
        "batch_timeout_micros": "Int64Value",
        "max_enqueued_batches": "Int64Value",
        "num_batch_threads": "Int64Value",
        "enable_large_batch_splitting": "BoolValue",
        "max_execution_batch_size": "Int64Value",
    }
    for number, (name, kind) in enumerate(types.items(), start=1):
        message.field.add(
            name=name, number=number, label=1, type=11,
            type_name=f".google.protobuf.{kind}",
        )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    found = pool.FindMessageTypeByName("test.BatchingParameters")
    parameters = message_factory.GetMessageClass(found)()
    text_format.Parse(path.read_text(), parameters)
    return {field.name: value.value for field, value in parameters.ListFields()}


def _add(folder, name, version, *, window=None):
    made = folder / name / str(version)
    made.mkdir(parents=True)
    (made / "saved_model.pb").touch()
    if window:
        (made / CARD).parent.mkdir()
        card = dataclasses.replace(CARD_OF, name=name, window=window)
        (made / CARD).write_text(card.to_json())


def test_all_models_of_a_folder(tmp_path):
    _add(tmp_path, "b", 1, window=2048)
    _add(tmp_path, "a", 9, window=4096)
    _add(tmp_path, "a", 10, window=1024)
    _add(tmp_path, "e", 1, window=4096)
    _add(tmp_path, "another", 1)
    (tmp_path / "c" / "1.incomplete").mkdir(parents=True)
    assert write_server_files(tmp_path) == []
    configs = _model_configs(tmp_path / "models.config").model_config_list.config
    assert [(c.name, c.base_path, c.model_platform) for c in configs] == [
        (name, f"/models/{name}", "tensorflow") for name in ("a", "another", "b", "e")
    ]
    assert _batching_parameters(tmp_path / "batching.config") == {
        "max_batch_size": 64,
        "batch_timeout_micros": 2000,
        "max_enqueued_batches": 100,
        "num_batch_threads": 2,
        "enable_large_batch_splitting": True,
        "max_execution_batch_size": 32,
    }
    # Batches of the model of the longest window fit into memory.
    _add(tmp_path, "d", 1, window=200_000)
    write_server_files(tmp_path)
    parameters = _batching_parameters(tmp_path / "batching.config")
    assert parameters["max_execution_batch_size"] == 1
    assert parameters["max_batch_size"] == 64
    configs = _model_configs(tmp_path / "models.config").model_config_list.config
    assert [config.name for config in configs] == ["a", "another", "b", "d", "e"]


def test_each_version_says_how_its_batches_are_formed(joint_version):
    assert _batching_parameters(joint_version / "batching_params.pbtxt") == {
        "max_batch_size": 64,
        "batch_timeout_micros": 2000,
        "max_enqueued_batches": 100,
        "enable_large_batch_splitting": True,
        "max_execution_batch_size": 64,
    }


def test_what_a_user_wrote_stays(tmp_path):
    _add(tmp_path, "a", 1, window=2048)
    own = tmp_path / "models.config"
    own.write_text("model_config_list {}\n")
    assert write_server_files(tmp_path) == [own]
    assert own.read_text() == "model_config_list {}\n"
    assert (tmp_path / "batching.config").is_file()


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "models.config").mkdir()
    with pytest.raises(RunError, match="models.config: cannot write"):
        write_server_files(tmp_path)
