"""Records -> batches -> UNet -> checkpoints -> SavedModel, and inference on whole cases."""
