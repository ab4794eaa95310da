"""Databases to Kafka."""

from list_sync.connector.base_connector import Connector
from list_sync.connector.mysql_connector import MysqlConnector
from list_sync.connector.pgsql_connector import PgsqlConnector
from list_sync.connector.producer import Producer

__all__ = ["Connector", "MysqlConnector", "PgsqlConnector", "Producer"]
