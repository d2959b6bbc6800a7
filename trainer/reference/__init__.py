"""The command line of the references, `python -m trainer`: flags, records, scores, keys."""
