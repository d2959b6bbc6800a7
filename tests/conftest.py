"""What every test needs."""

import trainer  # noqa: F401  # before TensorFlow: sets how it computes
