"""A topic to CSV files, each change exactly once."""

from list_sync.consumer import Consumer
from list_sync.consumer.writer import CsvWriter

writer = CsvWriter(filename="./output")
consumer = Consumer(callback=writer.write, group_id="my_group", topic_list=["orders"], boostrap_servers="localhost:9092")
consumer.consume_messages()
