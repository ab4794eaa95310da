"""Writers of files."""

from list_sync.consumer.writer.csv_writer import CsvWriter

__all__ = ["CsvWriter"]
