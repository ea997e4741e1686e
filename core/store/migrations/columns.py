"""What the columns of all migrations are made from. Must not change: databases were made with it."""

from functools import partial

from sqlalchemy import BigInteger, Column, Integer

ID = BigInteger().with_variant(Integer(), "sqlite")
required = partial(Column, nullable=False)
