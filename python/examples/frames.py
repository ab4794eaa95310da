"""What was changed since the last run, as frames of pandas and polars."""

import list_sync
import pandas
import polars

stream = list_sync.changes("mysql://repl@localhost/shop", tables=["orders"], name="orders", state="orders.state", once=True)
for batch in stream.batches():
    print(pandas.DataFrame(batch.to_columns()))
    print(polars.DataFrame(batch.to_columns(), infer_schema_length=None))
    print(batch.to_arrow().schema)
