"""Random changes of the training crops, our own and those of the references."""
