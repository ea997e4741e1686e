"""What the columns of all migrations are made from. Must not change: databases were made with it."""

from functools import partial

import sqlalchemy as sa

__all__ = ["ID", "required"]

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
required = partial(sa.Column, nullable=False)
