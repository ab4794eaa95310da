"""Changes straight from a database, without Kafka. The position is kept in a file."""

import asyncio

import list_sync


async def main() -> None:
    async with list_sync.changes("postgres://repl@localhost/shop", tables=["orders"], name="orders", state="orders.state") as stream:
        async for change in stream:
            print(change.committed_at, change.operation, change.table, change.row)


asyncio.run(main())
