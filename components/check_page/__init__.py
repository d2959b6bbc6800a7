"""The page of `unet-tfx check`: a cohort in one self-contained HTML file.

Here are the words that it has in common with what the command prints.
"""

from beam_preprocess.difference import Difference, Shares, Spread

MOST_VALUES = 5
"""Values of a text feature that are named."""


def number(value: float) -> str:
    """Four digits, or all before the point: `0.9375`, `240`, `12,500`."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def feature_words(feature: str) -> str:
    """What a feature of the case statistics is, and its unit.

    >>> feature_words("spacing_x"), feature_words("size_y"), feature_words("t1_foreground")
    ('spacing x (mm)', 'size y (voxels)', 'foreground of t1 (share)')
    """
    name, _, rest = feature.rpartition("_")
    if name == "spacing":
        return f"spacing {rest} (mm)"
    return f"size {rest} (voxels)" if name == "size" else f"foreground of {name} (share)"


def describe(values: Spread | Shares) -> str:
    """Median and quartiles of a numeric feature, shares of a text.

    >>> describe(Shares(n=5, values={"LPS": 0.8, "RAS": 0.2}))
    'LPS 80%, RAS 20%'
    """
    if isinstance(values, Spread):
        return f"{number(values.median)} ({number(values.q1)} to {number(values.q3)})"
    named = [f"{value} {share:.0%}" for value, share in values.values.items()]
    more = [f"{len(named) - MOST_VALUES} more"] if len(named) > MOST_VALUES else []
    return ", ".join([*named[:MOST_VALUES], *more])


def p_value(p: float | None) -> str:
    """`0.012`, `3e-07`; nothing where there is no test."""
    return "" if p is None else f"{p:.2g}"


def difference_verdict(difference: Difference) -> str:
    """One line: how much differs."""
    different, compared = len(difference.different), len(difference.features)
    cases = f"{difference.new_cases} new and {difference.old_cases} old cases"
    return f"{different} of {compared} features differ between {cases}"


def repeated_words(difference: Difference) -> str:
    """Whether new cases are among the old ones, and what follows."""
    repeated = len(difference.repeated)
    if not repeated:
        return "None of the new cases was in the old cohort."
    were, they = ("was", "it does") if repeated == 1 else ("were", "they do")
    return (
        f"{repeated} of the {difference.new_cases} new cases {were} in the old cohort: {they} not"
        " test a model that was trained on it."
    )
