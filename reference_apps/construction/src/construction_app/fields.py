"""Texts, numbers and pages as requests may give them; bounds are the tables'."""

from decimal import Decimal
from typing import Annotated

from fastapi import Query
from pydantic import Field, StringConstraints

# PostgreSQL texts cannot hold the NUL character, and a statement with one fails.
NO_NUL = r"^[^\x00]*$"
Text = Annotated[str, StringConstraints(pattern=NO_NUL)]
Name = Annotated[str, StringConstraints(pattern=NO_NUL, strip_whitespace=True, min_length=1, max_length=255)]
Code = Annotated[str, StringConstraints(pattern=NO_NUL, strip_whitespace=True, min_length=1, max_length=50)]
Short = Annotated[str, StringConstraints(pattern=NO_NUL, strip_whitespace=True, min_length=1, max_length=20)]
City = Annotated[str, StringConstraints(pattern=NO_NUL, strip_whitespace=True, max_length=100)]
State = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2}$")]
PostCode = Annotated[str, StringConstraints(pattern=NO_NUL, strip_whitespace=True, max_length=10)]

# Reals in Brazil, as numeric(10,2).
Price = Annotated[Decimal, Field(ge=0, max_digits=10, decimal_places=2)]
# As numeric(10,3), in the product's unit.
Quantity = Annotated[Decimal, Field(gt=0, max_digits=10, decimal_places=3)]
# Per cent, as numeric(5,2).
Percent = Annotated[Decimal, Field(ge=0, le=100, max_digits=5, decimal_places=2)]

# OFFSET is a bigint in PostgreSQL; this is far below and far above any shop.
MAX_SKIP = 1_000_000
Skip = Annotated[int, Query(ge=0, le=MAX_SKIP)]
Limit = Annotated[int, Query(ge=1, le=1000)]
