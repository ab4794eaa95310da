"""The connector for PostgreSQL, under the name that it has since list_sync 0.1.0."""

from typing import Any

from list_sync.connector.base_connector import Connector

__all__ = ["PgsqlConnector"]


class PgsqlConnector(Connector):
    """A :class:`~list_sync.connector.base_connector.Connector` with ``db_type="pgsql"``; all other arguments are its own.

    >>> PgsqlConnector(host="db-pgsql", port=5432, database="shop", table="orders", topic=["orders"]).names
    ['shop_orders_orders']
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__("pgsql", *args, **more)
