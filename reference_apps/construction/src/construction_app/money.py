"""What an order costs. Amounts are rounded to the cent where they are stored, half up as shops do."""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")


def less(amount: Decimal, percent: Decimal) -> Decimal:
    """Take a discount off an amount."""
    return (amount * (100 - percent) / 100).quantize(CENT, ROUND_HALF_UP)


def line_total(quantity: Decimal, unit_price: Decimal, discount_percent: Decimal) -> Decimal:
    """Give what one line costs."""
    return less(quantity * unit_price, discount_percent)


def order_total(lines: Iterable[Decimal], discount_percent: Decimal) -> Decimal:
    """Give what all lines cost after the discount of the whole."""
    return less(sum(lines, Decimal(0)), discount_percent)
