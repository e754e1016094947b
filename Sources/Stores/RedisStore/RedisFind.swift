internal import Ledger

/// Looking for single rows.
extension RedisConnection {
    private static let keysMax = 1_000

    func find(
        _ keys: [RowKey], _ coding: RowCoding
    ) throws(StoreError) -> [FoundRow?] {
        var found: [FoundRow?] = []
        for start in stride(from: 0, to: keys.count, by: Self.keysMax) {
            found += try findSome(
                Array(keys[start..<min(start + Self.keysMax, keys.count)]), coding)
        }
        return found
    }

    private func findSome(
        _ keys: [RowKey], _ coding: RowCoding
    ) throws(StoreError) -> [FoundRow?] {
        let places = try places(of: keys, coding)
        var found = [FoundRow?](repeating: nil, count: keys.count)
        let present = places.indices.filter { places[$0] != nil }
        let dataKeys = present.compactMap { places[$0] }
        if coding.isOneRowAKey {
            for (index, rows) in zip(present, try lone(coding, dataKeys)) {
                // Of a row that will expire, that it will.
                found[index] = rows.last
            }
            return found
        }
        var wanted: [[UInt8]: [Int]] = [:]
        for (index, key) in zip(present, dataKeys) { wanted[key, default: []].append(index) }
        let cells = wanted.map { key, indexes in
            (key: key, fields: indexes.map { coding.dataField(keys[$0].values) })
        }
        if cells.isEmpty { return found }
        let (_, damage) = try sizes(coding, cells.map(\.key))
        let rows = try self.cells(coding, cells)
        for (index, row) in zip(cells.flatMap { wanted[$0.key] ?? [] }, rows) {
            found[index] = row
        }
        for (key, problem) in damage {
            for index in wanted[key] ?? [] where found[index] != nil {
                found[index] = .damaged(
                    .init(key: keys[index], place: problem.place, problem: problem.problem))
            }
        }
        return found
    }

    /// In which key each row lies; nil where it lies nowhere.
    func places(
        of keys: [RowKey], _ coding: RowCoding
    ) throws(StoreError) -> [[UInt8]?] {
        guard coding.needsIndex else { return keys.map { coding.dataKey($0.values) } }
        let names = keys.map { coding.indexName($0.values) }
        var question = RedisTransaction()
        question.append("HMGET", coding.indexKey, RedisArguments(names))
        let replies = try results(ofReading: question).first?.elements ?? []
        var places = replies.map(\.bytes)
        let unknown = places.indices.filter { places[$0] == nil }
        if unknown.isEmpty { return places }
        // What somebody else has put there is in no index.
        var walk = KeyWalk(pattern: coding.pattern)
        while let some = try nextKeys(&walk) {
            for (index, key) in try strangers(unknown.map { keys[$0] }, coding, some) {
                places[unknown[index]] = key
            }
        }
        return places
    }

    /// Which of some rows lie in which of some keys.
    private func strangers(
        _ rows: [RowKey], _ coding: RowCoding, _ keys: [[UInt8]]
    ) throws(StoreError) -> [(Int, [UInt8])] {
        let keys = keys.filter { coding.values(coding.key, in: $0) != nil }
        let fields = RedisArguments(rows.map { coding.dataField($0.values) })
        if coding.isOneRowAKey {
            var places: [(Int, [UInt8])] = []
            for (key, found) in zip(keys, try lone(coding, keys)) {
                guard let name = found.first?.key(in: coding.schema),
                    let index = rows.firstIndex(of: name)
                else { continue }
                places.append((index, key))
            }
            return places
        }
        if keys.isEmpty { return [] }
        var commands = RedisCommands()
        for key in keys { commands.append("HMGET", key, fields) }
        var places: [(Int, [UInt8])] = []
        for (key, reply) in zip(keys, try send(commands)) where try problem(reply, key) == nil {
            for (index, payload) in (reply.elements ?? []).enumerated() where payload.bytes != nil {
                places.append((index, key))
            }
        }
        return places
    }
}
