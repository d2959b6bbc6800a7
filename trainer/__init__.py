"""Records -> batches -> UNet -> checkpoints -> SavedModel, and inference on whole cases.

Import it before TensorFlow: it switches TensorFlow's oneDNN kernels on.
"""

import os
import platform

if platform.machine() in ("x86_64", "AMD64"):
    # TensorFlow does so by itself only where the CPU has AVX-512 VNNI. On a CPU with AVX2 alone a
    # training step in 3D takes eight to ten times as long without them. Read at its import.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
