public import Ledger

extension PostgresStore: ReplicaStore {
    public func position() async throws(StoreError) -> StorePosition {
        let layouts = layouts
        return try await useOwn(else: .empty) { try StampRows.position($0, layouts: layouts) }
    }

    public func begin(
        _ datasets: Set<String>, from found: StorePosition?, as begun: StorePosition
    ) async throws(StoreError) {
        try checkWritable()
        var tables: [PostgresTable] = []
        for dataset in datasets.sorted() { tables.append(try table(dataset)) }
        let (emptied, layouts, name) = (tables, layouts, name)
        let shapes = try await use { link in
            try Preparation.alone(link) {
                // What is not opsd's to write is not opsd's to empty.
                for table in emptied { try table.check(link) }
                try link.transaction {
                    try StampRows.position(link, layouts: layouts, locking: true)
                        .expect(found, of: name)
                    try link.pipeline(
                        StampRows.take(begun, layouts: layouts)
                            + emptied.map { StampRows.forgetDigests(of: $0.schema.dataset) })
                }
                var shapes: [String: TableShape] = [:]
                for table in emptied {
                    try link.transaction {
                        try table.takeOutEarlier(link)
                        guard try table.exists(link) else { return }
                        var names = table.name
                        if try table.isForeign(in: link) {
                            _ = try table.prepare(link, isRebuilding: true)
                            names += ", " + table.stamps
                        }
                        try link.execute("TRUNCATE \(names)")
                    }
                    shapes[table.schema.dataset] = try table.prepare(link, isRebuilding: true)
                }
                return shapes
            }
        }
        setShapes(shapes)
    }

    public func fill(
        _ rows: [StampedRow], at begun: StorePosition?
    ) async throws(StoreError) {
        try checkWritable()
        let writes = try await writes(Dictionary(grouping: rows, by: \.row.dataset))
        let (layouts, name) = (layouts, name)
        try await use { link in
            try link.transaction {
                try StampRows.position(link, layouts: layouts, locking: true)
                    .expect(begun, of: name)
                try link.pipeline(try writes.flatMap { try $0.copy(link) })
            }
        }
    }

    public func finish(
        _ position: StorePosition, from begun: StorePosition?, digests: [DigestStamp]
    ) async throws(StoreError) {
        try checkWritable()
        let (layouts, name) = (layouts, name)
        try await use { link in
            try link.transaction {
                try StampRows.position(link, layouts: layouts, locking: true)
                    .expect(begun, of: name)
                try link.pipeline(
                    StampRows.write(digests) + StampRows.take(position, layouts: layouts))
            }
        }
    }
}
