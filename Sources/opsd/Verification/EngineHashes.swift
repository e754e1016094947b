public import PostgresStore
public import Verify

// What PostgreSQL hashes itself is plugged into the room that compares.
extension PostgresRows: EngineHashedRows {}
