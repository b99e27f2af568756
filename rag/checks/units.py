"""Units of measure: what they are called, and whether two amounts in different units are the same amount."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor, log10


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measure: value x factor + offset is the amount in the base of its dimension."""

    name: str  # as it is shown: "km", "%", "$"
    dimension: str  # "length", "time", "money $" …: only units of one dimension can be converted
    factors: tuple[float, ...]  # several where usage is divided: a GB is 10⁹ or 2³⁰ bytes
    offset: float = 0.0


# A line a unit: dimension | factor | the name shown first, then all others; a name with a capital is read as written.
_TABLE = """
    length | 1000 | km kilometre kilometer kilometres kilometers kilómetro kilómetros quilómetro quilómetros chilometri
    length | 1 | m metre meter metres meters mètre mètres metro metros metri
    length | 0.01 | cm centimetre centimeter centimetres centimeters zentimeter centimètres centímetros centimetri
    length | 0.001 | mm millimetre millimeter millimetres millimeters
    length | 0.000001 | µm micrometre micrometer micrometres micrometers micron microns
    length | 0.000000001 | nm nanometre nanometer nanometres nanometers
    length | 1609.344 | mi mile miles meile meilen mille milles milla millas
    length | 1852 | nmi
    length | 0.3048 | ft foot feet
    length | 0.0254 | inch inches
    length | 0.9144 | yd yard yards
    area | 1 | m² sqm
    area | 1000000 | km²
    area | 10000 | ha hectare hectares hektar
    area | 4046.856 | acre acres
    mass | 1000 | t tonne tonnes tonnen
    mass | 1 | kg kilogram kilograms kilogramme kilogrammes kilogramm kilo kilos
    mass | 0.001 | g gram grams gramme grammes gramm gramos grammi
    mass | 0.000001 | mg milligram milligrams milligramm
    mass | 0.000000001 | µg mcg microgram micrograms
    mass | 0.45359237 | lb lbs pound pounds
    mass | 0.028349523 | oz ounce ounces
    mass | 6.35029318 | stone
    time | 1 | s second seconds sec secs sekunde sekunden seconde secondes segundo segundos secondi secondo
    time | 0.001 | ms millisecond milliseconds millisec
    time | 0.000001 | µs microsecond microseconds
    time | 0.000000001 | ns nanosecond nanoseconds
    time | 60 | min minute minutes mins minuten minuto minutos minuti minuut
    time | 3600 | h hour hours hr hrs stunde stunden heure heures hora horas ora ore uur uren
    time | 86400 | day days tag tage tagen jour jours día días dia dias giorno giorni dag dagen
    time | 604800 | week weeks woche wochen semaine semaines semana semanas settimana settimane weken
    time | 1209600 | fortnight fortnights
    time | 2629800 | month months monat monate monaten mois mes meses mese mesi maand maanden mês
    time | 31557600 | year years yr yrs jahr jahre jahren an ans année années año años anno anni ano anos jaar jaren
    time | 315576000 | decade decades jahrzehnt jahrzehnte
    time | 3155760000 | century centuries jahrhundert jahrhunderte siècle siècles siglo siglos
    data | 0.125 | bit bits
    data | 1 | byte bytes B octet octets
    data | 1000, 1024 | KB kB kb kilobyte kilobytes
    data | 1000000, 1048576 | MB mb megabyte megabytes
    data | 1000000000, 1073741824 | GB gb gigabyte gigabytes
    data | 1000000000000, 1099511627776 | TB tb terabyte terabytes
    data | 1000000000000000, 1125899906842624 | PB petabyte petabytes
    data | 1024 | KiB kib kibibyte kibibytes
    data | 1048576 | MiB mib mebibyte mebibytes
    data | 1073741824 | GiB gib gibibyte gibibytes
    data | 1099511627776 | TiB tib tebibyte tebibytes
    data | 125 | kbit kilobit kilobits
    data | 125000 | Mbit megabit megabits
    data | 125000000 | Gbit gigabit gigabits
    rate | 1000 | kbps Kbps kbit/s
    rate | 1000000 | Mbps Mbit/s
    rate | 1000000000 | Gbps Gbit/s
    frequency | 1 | Hz hertz
    frequency | 1000 | kHz kilohertz
    frequency | 1000000 | MHz megahertz
    frequency | 1000000000 | GHz gigahertz
    speed | 1 | m/s
    speed | 0.27777778 | km/h kph kmh
    speed | 0.44704 | mph
    volume | 1 | l L litre liter litres liters litro litros litri
    volume | 0.001 | ml mL millilitre milliliter millilitres milliliters
    volume | 3.785411784 | gal gallon gallons
    volume | 0.473176473 | pint pints
    power | 1 | W watt watts
    power | 1000 | kW kilowatt kilowatts
    power | 1000000 | MW megawatt megawatts
    energy | 1 | kWh
    energy | 0.001162222 | kcal
    voltage | 1 | V volt volts
    angle | 1 | degree degrees grad °
    share | 0.01 | % percent percentage pct prozent procent
    money $ | 1 | $ dollar dollars usd US$
    money $ | 0.01 | ¢ cent cents
    money € | 1 | € euro euros eur
    money £ | 1 | £ gbp sterling pound pounds
    money ¥ | 1 | ¥ yen jpy
    money ₹ | 1 | ₹ rupee rupees inr
    money CHF | 1 | CHF chf franc francs franken
"""
_TEMPERATURES = (
    (Unit("°C", "temperature", (1.0,), 273.15), "°C °c celsius centigrade ℃"),
    (Unit("°F", "temperature", (5 / 9,), 273.15 - 32 * 5 / 9), "°F °f fahrenheit ℉"),
    (Unit("K", "temperature", (1.0,)), "kelvin"),
)
SHARE = Unit("", "share", (1.0,))  # a fraction: half, two thirds
LOOSE = 0.05  # an amount in another unit may be rounded by this share of it at most
_CALENDAR = 0.03  # months and years are told in days as 30 and 365


def _named() -> dict[str, tuple[Unit, ...]]:
    table: dict[str, tuple[Unit, ...]] = {}
    lines = [[part.strip() for part in line.split("|")] for line in _TABLE.strip().splitlines()]
    units = [
        (Unit(names.split()[0], dimension, tuple(float(factor) for factor in factors.split(","))), names)
        for dimension, factors, names in lines
    ]
    for unit, names in (*units, *_TEMPERATURES):
        for name in names.split():
            table[name] = (*table.get(name, ()), unit)
    return table


_NAMED = _named()
SYMBOLS = "$€£¥₹"  # that stand before the number


def units_named(name: str) -> tuple[Unit, ...]:
    """The units a word may mean, as written or in small letters; none when it is no unit. A pound may be two things."""
    return _NAMED.get(name) or _NAMED.get(name.lower(), ())


def same_amount(
    one: float, ours: Iterable[Unit], ours_written: str, other: float, theirs: Iterable[Unit], theirs_written: str
) -> bool:
    """Whether two amounts are one and the same, up to the rounding of whichever is written less precisely."""
    for here in ours:
        for there in theirs:
            if here == there and one == other:
                return True
            if here.dimension == there.dimension and here != there and (one or here.offset or there.offset):
                for n in range(max(len(here.factors), len(there.factors))):
                    converted = _converted(one, here, there, n)
                    back = _converted(other, there, here, n)
                    loose = _CALENDAR if here.dimension == "time" and _is_calendar(here, there) else 0.0
                    if _rounds_to(converted, other, theirs_written, loose) or _rounds_to(
                        back, one, ours_written, loose
                    ):
                        return True
    return False


def _converted(value: float, here: Unit, there: Unit, n: int) -> float:
    base = value * here.factors[min(n, len(here.factors) - 1)] + here.offset
    return (base - there.offset) / there.factors[min(n, len(there.factors) - 1)]


def _is_calendar(here: Unit, there: Unit) -> bool:
    return (here.name in ("month", "year")) != (there.name in ("month", "year"))


def _rounds_to(exact: float, stated: float, written: str, loose: float) -> bool:
    """Whether the stated number is the exact one as rounded to the digits that were written."""
    decimals = len(written.rpartition(".")[2]) if "." in written else 0
    half = 0.5 * 10.0**-decimals
    within = max(min(half, LOOSE * abs(stated)), loose * abs(stated), 1e-9 * max(1.0, abs(exact)))
    return abs(exact - stated) <= within * (1 + 1e-9)


def rounds_to(exact: float, rounded: float) -> bool:
    """Whether a number is another one, rounded to as many digits as it has."""
    if not exact or not rounded or (exact < 0) != (rounded < 0):
        return exact == rounded
    digits = len(f"{abs(rounded):.12g}".replace(".", "").split("e")[0].strip("0"))
    step = 10.0 ** (floor(log10(abs(rounded))) - digits + 1)
    return abs(exact - rounded) <= min(0.5 * step, LOOSE * abs(exact)) * (1 + 1e-9)
