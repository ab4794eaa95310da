"""Databases to Kafka."""

from list_sync.connector.base_connector import Connector

__all__ = ["Connector"]
