"""A topic to a function, in batches of dicts. What the function raised for comes again."""

from typing import Any

from list_sync import Consumer, errors


def store(messages: "list[dict[str, Any]]") -> None:
    for message in messages:
        print(message["action"], message["table"], message.get("columns", message.get("identity")))


consumer = Consumer(store, group_id="printer", topic_list=["orders"], bootstrap_servers="localhost:9092", batch=True, decode=True)
try:
    consumer.consume_messages()
except errors.LinkError as error:
    print(error, "-", error.hint)
