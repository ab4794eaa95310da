"""The connector for MySQL and MariaDB, under the name that it has since list_sync 0.1.0."""

from typing import Any

from list_sync.connector.base_connector import Connector

__all__ = ["MysqlConnector"]


class MysqlConnector(Connector):
    """A :class:`~list_sync.connector.base_connector.Connector` with ``db_type="mysql"``; all other arguments are its own.

    >>> MysqlConnector(host="db-mysql", database="shop", table="orders", topic=["orders"]).names
    ['shop_orders_orders']
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__("mysql", *args, **more)
