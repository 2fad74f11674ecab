"""seqexp-tf: learn from real genomes how DNA sequence drives gene expression.

The package reads one way: files of biology become arrays (`genome`), records
(`records`), batches (`pipeline`), a model (`models`), a run (`training`) and
answers (`evaluation`, `serving`). Importing it is cheap: TensorFlow is loaded
only by the parts that train or evaluate.
"""

from importlib.metadata import version as _version

__version__ = _version("seqexp-tf")
