"""Where a training can be seen beside its log: TensorBoard, MLflow, Weights & Biases."""
