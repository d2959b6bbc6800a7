"""Scores of cases: voxels, surfaces, lesions, images; then means, slices and comparisons of them.

Truth and prediction -> `region_scores` (one case) -> `cases` (folds, slices) -> `summary` (means
with intervals) or `comparison` (two runs). Plain NumPy and SciPy; nothing here trains or loads.
"""
