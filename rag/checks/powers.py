"""Powers in numbers: "1e6", "5 x 10^6", "3 × 10⁻⁴", "2^32"; read where they can be nothing else."""

_RAISED = r"(?:(?:\^|\*\*)(?:[-−+]?\d{1,2}(?!\d)|\{[-−+]?\d{1,2}\})|[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,2})(?!\w)"
POWER = (
    r"(?:(?:e[-−+]?|E[-−+]|(?<=[.,]\d)E|(?<=[.,]\d\d)E)\d{1,2}(?![\w/]|-\w)"
    rf"|\s?(?:[x×·⋅]|\*(?!\*))\s?10{_RAISED}"
    rf"|(?=\^|\*\*){_RAISED}(?!\s?[-+]\s?\d+(?![\d^*]))"
    rf"|(?<=(?<![\d.,$€£¥₹])10)(?=⁻|[³⁴⁵⁶⁷⁸⁹]|[¹²][⁰¹²³⁴⁵⁶⁷⁸⁹]){_RAISED})"
)
"""What stands behind the digits that are raised, as a regular expression. Of what may as well be something else it
takes nothing: "E6" behind a whole number, the ² of a note, 2^32 - 1."""
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺"
_PLAIN = str.maketrans(_SUPERSCRIPTS + "−", "0123456789-+-", "^*{}")


def is_scientific(power: str) -> bool:
    """Whether it is written as programs do: 1e6, which may be part of a name, too."""
    return power[0] in "eE"


def raised(value: float, power: str) -> float:
    """The value with what `POWER` found behind it; as it stands where that is too large for a number."""
    try:
        if is_scientific(power):
            return value * 10.0 ** _exponent(power[1:])
        if power.startswith(("^", "**")) or power[0] in _SUPERSCRIPTS:
            return float(value ** _exponent(power))
        return value * 10.0 ** _exponent(power.partition("10")[2])
    except ArithmeticError:
        return value


def _exponent(written: str) -> int:
    return int(written.translate(_PLAIN))
