import subprocess
import sys

NUMERIC = (
    "files",
    "ranking",
    "selection",
    "metrics",
    "baselines",
    "tables",
    "curves",
    "calibration",
    "joint_calibration",
    "temperature",
    "bootstrap",
    "style",
    "gene_masks",
    "gene_tracks",
    "links",
    "rankings",
    "average_precision",
    "element_scores",
    "element_tables",
    "element_plots",
)


def test_the_numeric_modules_load_neither_tensorflow_nor_matplotlib():
    code = (
        "import importlib, sys\n"
        f"for name in {NUMERIC!r}:\n"
        "    importlib.import_module(f'seqexp_tf.evaluation.{name}')\n"
        "print({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "set()"
