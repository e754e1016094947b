internal import Ledger

/// Reading, on the connection's own thread. A row and its stamp come out of one transaction, and so do
/// all rows of a key that is not huge: nobody sees half of a batch there.
extension RedisConnection {
    /// Cells that are read at once; of a key with more, a part at a time.
    static let cellsMax = 10_000
    private static let keysMax = 1_000

    func position(_ layouts: [String: String]) throws(StoreError) -> StorePosition {
        try StoreRecord.position(
            try pairs(StoreRecord.key), layouts: layouts, store: store)
    }

    func digests() throws(StoreError) -> [DigestStamp] {
        var stamps: [DigestStamp] = []
        for (field, value) in try pairs(StoreRecord.digestsKey) {
            stamps.append(try StoreRecord.digest(field, value, store: store))
        }
        return stamps
    }

    private func pairs(
        _ key: [UInt8]
    ) throws(StoreError) -> [(field: [UInt8], value: [UInt8])] {
        var transaction = RedisTransaction()
        transaction.append("HGETALL", key)
        return try results(ofReading: transaction).first?.pairs ?? []
    }

    /// The keys of a pattern, some at a time, none twice.
    func scan(
        _ pattern: String, _ consume: ([[UInt8]]) throws(StoreError) -> Void
    ) throws(StoreError) {
        var walk = KeyWalk(pattern: pattern)
        while let keys = try nextKeys(&walk) { try consume(keys) }
    }

    /// The rows that are within reach, some at a time.
    func each(
        _ coding: RowCoding, _ reach: RowReach,
        _ consume: ([StampedRow]) throws(StoreError) -> Void
    ) throws(StoreError) {
        switch reach {
        case .everything:
            try each(coding, keys: try keys(coding), consume)
        case .keys(let keys): try each(coding, keys: keys, consume)
        case .cells(let cells):
            var transaction = RedisTransaction()
            for (key, fields) in cells {
                transaction.append("HMGET", key, RedisArguments(fields))
                transaction.append("HMGET", coding.stampKey(key), RedisArguments(fields))
            }
            if transaction.isEmpty { return }
            var replies = try results(ofReading: transaction)[...]
            for (key, fields) in cells {
                let (data, stamps) = (replies.popFirst(), replies.popFirst())
                try consume(
                    try rows(coding, key, fields, data?.elements ?? [], stamps?.elements ?? []))
            }
        }
    }

    /// All names first: a batch of rows that are keys each must not be seen half. Also those of which
    /// only the stamps are there.
    private func keys(_ coding: RowCoding) throws(StoreError) -> [[UInt8]] {
        var keys: [[UInt8]] = []
        try scan(coding.pattern) { found throws(StoreError) in
            keys += found.filter { coding.values(coding.key, in: $0) != nil }
        }
        if coding.timeToLive != nil { return keys }
        let present = Set(keys)
        let prefix = String(decoding: coding.stampPrefix, as: UTF8.self)
        try scan(RowCoding.globLiteral(prefix) + "*") { found throws(StoreError) in
            keys += found.map { Array($0.dropFirst(coding.stampPrefix.count)) }
                .filter { !present.contains($0) && coding.values(coding.key, in: $0) != nil }
        }
        return keys
    }

    private func each(
        _ coding: RowCoding, keys: [[UInt8]],
        _ consume: ([StampedRow]) throws(StoreError) -> Void
    ) throws(StoreError) {
        var rest = keys[...]
        while !rest.isEmpty {
            let some = Array(rest.prefix(Self.keysMax))
            rest = rest.dropFirst(Self.keysMax)
            if coding.isOneRowAKey {
                try consume(try single(coding, some))
            } else {
                try eachCell(coding, some, consume)
            }
        }
    }

    /// Where the row of a key is; nil when the index does not know it.
    func reach(of key: RowKey, _ coding: RowCoding) throws(StoreError) -> RowReach? {
        let dataKey: [UInt8]
        if coding.needsIndex {
            var transaction = RedisTransaction()
            transaction.append("HGET", coding.indexKey, coding.indexName(key.values))
            guard let found = try results(ofReading: transaction).first?.bytes else {
                try noteUnindexed(coding)
                return nil
            }
            dataKey = found
        } else {
            dataKey = coding.dataKey(key.values)
        }
        if coding.isOneRowAKey { return .keys([dataKey]) }
        return .cells([(dataKey, [coding.dataField(key.values)])])
    }

    /// How many cells there are within reach.
    func count(_ coding: RowCoding, _ reach: RowReach) throws(StoreError) -> Int {
        switch reach {
        case .everything: return try count(coding, try keys(coding))
        case .keys(let keys): return try count(coding, keys)
        case .cells:
            var count = 0
            try each(coding, reach) { rows in count += rows.count }
            return count
        }
    }

    private func count(_ coding: RowCoding, _ keys: [[UInt8]]) throws(StoreError) -> Int {
        var count = 0
        var rest = keys[...]
        while !rest.isEmpty {
            let some = Array(rest.prefix(Self.keysMax))
            rest = rest.dropFirst(Self.keysMax)
            let lengths = try lengths(some + some.map(coding.stampKey))
            for (key, (rows, stamps)) in zip(some, zip(lengths, lengths.dropFirst(some.count))) {
                if stamps > rows { try noteVanished(coding, key) }
                if rows == 0, stamps == 0 { try noteEmpty(coding, key) }
                count += rows
            }
        }
        return count
    }

    // MARK: - A row a key

    private func single(
        _ coding: RowCoding, _ keys: [[UInt8]]
    ) throws(StoreError) -> [StampedRow] {
        var transaction = RedisTransaction()
        for key in keys {
            transaction.append(coding.value == .hash ? "HGETALL" : "GET", key)
            transaction.append("HGET", coding.stampKey(key), RowCoding.onlyField)
        }
        var replies = try results(ofReading: transaction)[...]
        var rows: [StampedRow] = []
        for key in keys {
            let (data, stamp) = (replies.popFirst(), replies.popFirst())
            let content: RowContent?
            if case .hash = coding.value {
                let pairs = data?.pairs ?? []
                content =
                    pairs.isEmpty
                    ? nil : .fields(Dictionary(pairs.map { ($0, $1) }) { first, _ in first })
            } else {
                content = data?.bytes.map(RowContent.payload)
            }
            guard let content else {
                if stamp?.bytes == nil {
                    try noteEmpty(coding, key)
                } else {
                    try noteVanished(coding, key)
                }
                continue
            }
            rows.append(
                try coding.row(
                    content, key: key, tells: coding.values(coding.key, in: key), field: nil,
                    stamp: stamp?.bytes, store: store))
        }
        return rows
    }

    // MARK: - Many rows a key

    private func eachCell(
        _ coding: RowCoding, _ keys: [[UInt8]],
        _ consume: ([StampedRow]) throws(StoreError) -> Void
    ) throws(StoreError) {
        var some: [[UInt8]] = []
        var count = 0
        for (key, length) in zip(keys, try lengths(keys)) {
            if length > Self.cellsMax {
                try eachPart(coding, key, consume)
                continue
            }
            if count + length > Self.cellsMax {
                try consume(try whole(coding, some))
                (some, count) = ([], 0)
            }
            some.append(key)
            count += length
        }
        if !some.isEmpty { try consume(try whole(coding, some)) }
    }

    func lengths(_ keys: [[UInt8]]) throws(StoreError) -> [Int] {
        var transaction = RedisTransaction()
        for key in keys { transaction.append("HLEN", key) }
        if transaction.isEmpty { return [] }
        return try results(ofReading: transaction).map { Int($0.integer ?? 0) }
    }

    private func whole(
        _ coding: RowCoding, _ keys: [[UInt8]]
    ) throws(StoreError) -> [StampedRow] {
        var transaction = RedisTransaction()
        for key in keys {
            transaction.append("HGETALL", key)
            transaction.append("HGETALL", coding.stampKey(key))
        }
        var replies = try results(ofReading: transaction)[...]
        var rows: [StampedRow] = []
        for key in keys {
            let (data, stamps) = (replies.popFirst()?.pairs ?? [], replies.popFirst()?.pairs ?? [])
            let keyValues = coding.values(coding.key, in: key)
            let stampOf = Dictionary(stamps.map { ($0, $1) }) { first, _ in first }
            if data.isEmpty, stamps.isEmpty { try noteEmpty(coding, key) }
            let fields = Set(data.map(\.field))
            if let lost = stamps.first(where: { !fields.contains($0.field) })?.field {
                try noteVanished(coding, key, lost)
            }
            for (field, payload) in data {
                rows.append(
                    try coding.row(
                        .payload(payload), key: key, tells: keyValues, field: field,
                        stamp: stampOf[field], store: store))
            }
        }
        return rows
    }

    /// A huge key: its fields are walked over, and read with their stamps.
    private func eachPart(
        _ coding: RowCoding, _ key: [UInt8],
        _ consume: ([StampedRow]) throws(StoreError) -> Void
    ) throws(StoreError) {
        var walk = FieldWalk(key: key)
        while let fields = try nextFields(&walk) {
            try each(coding, .cells([(key, fields)]), consume)
        }
        let lengths = try lengths([key, coding.stampKey(key)])
        if lengths[1] > lengths[0] { try noteVanished(coding, key) }
    }

    private func rows(
        _ coding: RowCoding, _ key: [UInt8], _ fields: [[UInt8]], _ data: [RedisReply],
        _ stamps: [RedisReply]
    ) throws(StoreError) -> [StampedRow] {
        var rows: [StampedRow] = []
        let keyValues = coding.values(coding.key, in: key)
        for (field, (payload, stamp)) in zip(fields, zip(data, stamps)) {
            guard let payload = payload.bytes else {
                if stamp.bytes != nil { try noteVanished(coding, key, field) }
                continue
            }
            rows.append(
                try coding.row(
                    .payload(payload), key: key, tells: keyValues, field: field,
                    stamp: stamp.bytes, store: store))
        }
        if rows.isEmpty { try noteEmpty(coding, key) }
        return rows
    }
}

extension RedisReply {
    /// Of a hash: fields and values in turn.
    var pairs: [(field: [UInt8], value: [UInt8])] {
        let elements = elements ?? []
        return stride(from: 0, to: elements.count - 1, by: 2).compactMap { index in
            guard let field = elements[index].bytes, let value = elements[index + 1].bytes else {
                return nil
            }
            return (field, value)
        }
    }
}
