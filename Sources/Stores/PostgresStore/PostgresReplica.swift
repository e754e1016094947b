public import Ledger

extension PostgresStore: ReplicaStore {
    public func position() async throws(StoreError) -> StorePosition {
        try await use { try StampRows.position($0) }
    }

    public func begin(_ datasets: Set<String>) async throws(StoreError) {
        var tables: [PostgresTable] = []
        for dataset in datasets.sorted() { tables.append(try table(dataset)) }
        let emptied = tables
        let shapes = try await use { link in
            try Preparation.alone(link) {
                // What is not opsd's to write is not opsd's to empty.
                for table in emptied { try table.check(link) }
                var shapes: [String: TableShape] = [:]
                for table in emptied {
                    try link.transaction {
                        if try table.exists(link) { try link.execute("TRUNCATE \(table.name)") }
                        try link.pipeline(StampRows.forget(table.schema.dataset))
                    }
                    shapes[table.schema.dataset] = try table.prepare(link, isRebuilding: true)
                }
                return shapes
            }
        }
        setShapes(shapes)
    }

    public func fill(_ rows: [StampedRow]) async throws(StoreError) {
        let writes = try await writes(Dictionary(grouping: rows, by: \.row.dataset))
        try await use { link in
            try link.transaction {
                try link.pipeline(try writes.flatMap { try $0.copy(link) })
            }
        }
    }

    public func finish(
        _ position: StorePosition, digests: [DigestStamp]
    ) async throws(StoreError) {
        try await use { link in
            try link.transaction {
                _ = try StampRows.applied(link, locking: true)
                try link.pipeline(StampRows.write(digests) + StampRows.take(position))
            }
        }
    }
}
