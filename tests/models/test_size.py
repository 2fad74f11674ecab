from seqexp_tf.evaluation.mask_predictor import MaskPredictor
from seqexp_tf.models.size import trainable_weights
from seqexp_tf.training.run import Run


def test_counters_are_no_weights_whoever_counts(write_gene_run, gene_store, tmp_path):
    mask = {"kl_warmup_steps": 10}
    run = Run.open(write_gene_run(tmp_path / "run", gene_store, mask=mask))
    model = run.load_model()
    # Draws of the mask and steps of the warm-up.
    assert trainable_weights(model) == model.count_params() - 2
    own = MaskPredictor.open(run, gene_store).model
    assert trainable_weights(own) == trainable_weights(model)


def test_a_generator_taken_from_a_run_is_not_learnt(
    write_gene_run, gene_store, tmp_path
):
    soft = write_gene_run(tmp_path / "soft", gene_store)
    mask = {"kind": "run", "run": str(soft), "fraction": 0.3}
    retrained = Run.open(write_gene_run(tmp_path / "run", gene_store, mask=mask))
    plain = write_gene_run(tmp_path / "plain", gene_store, mask={"kind": "none"})
    # Without a mask, one of the two embeddings has no bias.
    wanted = Run.open(plain).load_model().count_params() + 4
    assert trainable_weights(retrained.load_model()) == wanted
