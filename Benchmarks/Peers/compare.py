"""What a careful person would write to compare a hash an account in Redis with a table in PostgreSQL.

Rows come from PostgreSQL by a server-side cursor in the order of the accounts, hashes from Redis a
hundred at a time; numbers are compared as numbers. Prints the count of rows and of differences.

    compare.py REDIS-SOCKET PREFIX DSN TABLE
"""

import itertools
import json
import sys
from decimal import Decimal

import psycopg2
import redis

socket, prefix, dsn, table = sys.argv[1:]
hot = redis.Redis(unix_socket_path=socket)
record = psycopg2.connect(dsn)
cursor = record.cursor(name="compare")
cursor.itersize = 20_000
cursor.execute(
    f'SELECT account_id, symbol, days, max_price FROM {table} ORDER BY account_id COLLATE "C"'
)

rows = differences = 0
accounts = itertools.groupby(cursor, key=lambda row: row[0])
while True:
    group = [(account, list(lines)) for account, lines in itertools.islice(accounts, 100)]
    if not group:
        break
    pipeline = hot.pipeline(transaction=False)
    for account, _ in group:
        pipeline.hgetall(prefix + account)
    for (account, lines), found in zip(group, pipeline.execute()):
        rows += len(lines)
        for _, symbol, days, price in lines:
            text = found.pop(symbol.encode(), None)
            if text is None:
                differences += 1
                continue
            value = json.loads(text)
            if value["days"] != days or Decimal(value["max_price"]) != price:
                differences += 1
        differences += len(found)
seen = {account for account in hot.scan_iter(match=prefix + "*", count=10_000)}
cursor = record.cursor()
cursor.execute(f"SELECT count(DISTINCT account_id) FROM {table}")
differences += abs(len(seen) - cursor.fetchone()[0])
print(rows, differences)
