"""Numbers as output documents show them: rounded, so that the same input gives the same bytes."""


def shown(value: float, decimals: int) -> float:
    """`value` rounded, without a negative zero."""
    return round(value, decimals) + 0.0


def significant(value: float, digits: int = 6) -> float:
    """`value` with so many significant digits."""
    return float(f"{value:.{digits}g}") + 0.0
