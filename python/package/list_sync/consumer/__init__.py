"""Kafka to files, or to a Python function."""

from list_sync.consumer.consumer import Consumer

__all__ = ["Consumer"]
