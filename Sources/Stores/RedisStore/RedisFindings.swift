internal import Ledger

/// What lies in keys: rows, and what is none, which is said of each and stops nothing.
extension RedisConnection {
    // MARK: - Many rows a key

    /// How many fields each key has that is a hash, and what is wrong with keys as such, by the key of
    /// the data.
    func sizes(
        _ coding: RowCoding, _ keys: [[UInt8]]
    ) throws(StoreError) -> (sizes: [(key: [UInt8], count: Int)], damage: [[UInt8]: DamagedRow]) {
        var commands = RedisCommands()
        for key in keys {
            commands.append("HLEN", key)
            commands.append("PTTL", key)
            commands.append("PTTL", coding.stampKey(key))
        }
        var replies = try send(commands)[...]
        var sizes: [(key: [UInt8], count: Int)] = []
        var damage: [[UInt8]: DamagedRow] = [:]
        for key in keys {
            let (length, times) = (replies.popFirst(), Array(replies.prefix(2)))
            replies = replies.dropFirst(2)
            if let problem = try problem(length, key) {
                damage[key] = DamagedRow(key: nil, place: RowCoding.place(key), problem: problem)
                continue
            }
            damage[key] = try expiry(coding, key, times, of: nil)
            sizes.append((key, Int(length?.integer ?? 0)))
        }
        return (sizes, damage)
    }

    func whole(
        _ coding: RowCoding, _ keys: [[UInt8]]
    ) throws(StoreError) -> [FoundRow] {
        var question = RedisTransaction()
        for key in keys {
            question.append("HGETALL", key)
            question.append("HGETALL", coding.stampKey(key))
        }
        var replies = try answers(toReading: question)[...]
        var found: [FoundRow] = []
        for key in keys {
            let (data, stamps) = (replies.popFirst(), replies.popFirst())
            if let problem = try problem(data, key) {
                found.append(
                    .damaged(.init(key: nil, place: RowCoding.place(key), problem: problem)))
                continue
            }
            let pairs = data?.pairs ?? []
            let stampProblem = try problem(stamps, coding.stampKey(key))
            let stampPairs = stamps?.pairs ?? []
            // Both hashes have the same fields, and mostly in the same order.
            var stampOf: [[UInt8]: [UInt8]]?
            let keyValues = coding.values(coding.key, in: key)
            for (index, (field, payload)) in pairs.enumerated() {
                let stamp: [UInt8]?
                if index < stampPairs.count, stampPairs[index].field == field {
                    stamp = stampPairs[index].value
                } else {
                    let known =
                        stampOf
                        ?? Dictionary(stampPairs.map { ($0, $1) }) { first, _ in first }
                    stampOf = known
                    stamp = known[field]
                }
                found.append(
                    coding.found(
                        .payload(payload), key: key, tells: keyValues, field: field, stamp: stamp
                    ).withoutStamps(stampProblem, in: coding.schema, key, field))
            }
        }
        return found
    }

    /// What lies in single fields, one after the other.
    func cells(
        _ coding: RowCoding, _ cells: [(key: [UInt8], fields: [[UInt8]])]
    ) throws(StoreError) -> [FoundRow?] {
        var question = RedisTransaction()
        for (key, fields) in cells {
            question.append("HMGET", key, RedisArguments(fields))
            question.append("HMGET", coding.stampKey(key), RedisArguments(fields))
        }
        var replies = try answers(toReading: question)[...]
        var found: [FoundRow?] = []
        for (key, fields) in cells {
            let (data, stamps) = (replies.popFirst(), replies.popFirst())
            let keyValues = coding.values(coding.key, in: key)
            if let problem = try problem(data, key) {
                found += fields.map { coding.damage(problem, key, keyValues, $0) }
                continue
            }
            let stampProblem = try problem(stamps, coding.stampKey(key))
            let payloads = data?.elements ?? []
            let stampTexts = stamps?.elements ?? []
            for (index, field) in fields.enumerated() {
                guard index < payloads.count, let payload = payloads[index].bytes else {
                    found.append(nil)
                    continue
                }
                found.append(
                    coding.found(
                        .payload(payload), key: key, tells: keyValues, field: field,
                        stamp: index < stampTexts.count ? stampTexts[index].bytes : nil
                    ).withoutStamps(stampProblem, in: coding.schema, key, field))
            }
        }
        return found
    }

    // MARK: - A row a key

    /// What lies in each key: nothing, a row, or damage; a row that will expire, and that it will.
    func lone(
        _ coding: RowCoding, _ keys: [[UInt8]]
    ) throws(StoreError) -> [[FoundRow]] {
        var question = RedisTransaction()
        for key in keys {
            question.append(coding.value == .hash ? "HGETALL" : "GET", key)
            question.append("HGET", coding.stampKey(key), RowCoding.onlyField)
            question.append("PTTL", key)
            question.append("PTTL", coding.stampKey(key))
        }
        var replies = try answers(toReading: question)[...]
        var all: [[FoundRow]] = []
        for key in keys {
            let (data, stamp) = (replies.popFirst(), replies.popFirst())
            let times = Array(replies.prefix(2))
            replies = replies.dropFirst(2)
            let keyValues = coding.values(coding.key, in: key)
            if let problem = try problem(data, key) {
                all.append([coding.damage(problem, key, keyValues, nil)])
                continue
            }
            guard let content = coding.content(data) else {
                all.append([])
                continue
            }
            let stampProblem = try problem(stamp, coding.stampKey(key))
            let row = coding.found(
                content, key: key, tells: keyValues, field: nil, stamp: stamp?.bytes
            ).withoutStamps(stampProblem, in: coding.schema, key, nil)
            let expiry = try expiry(coding, key, times, of: row.key(in: coding.schema))
            all.append([row] + (expiry.map { [.damaged($0)] } ?? []))
        }
        return all
    }

    // MARK: - Two rows of one key

    /// Where an index tells the place of each row, one that lies somewhere else is a second one.
    func withoutSeconds(
        _ coding: RowCoding, _ found: [FoundRow]
    ) throws(StoreError) -> [FoundRow] {
        guard coding.needsIndex else { return found }
        var rows: [(index: Int, name: [UInt8], key: [UInt8], values: [Value])] = []
        for (index, found) in found.enumerated() {
            guard case .row(let stamped) = found else { continue }
            let values = stamped.row.values
            rows.append((index, coding.indexName(values), coding.dataKey(values), values))
        }
        if rows.isEmpty { return found }
        var question = RedisTransaction()
        question.append("HMGET", coding.indexKey, RedisArguments(rows.map(\.name)))
        let places = try results(ofReading: question).first?.elements ?? []
        let suspects = zip(rows, places).filter { row, place in
            place.bytes.map { $0 != row.key } ?? false
        }.map(\.0)
        if suspects.isEmpty { return found }
        // It may have been moved since it was read: what comes now is of one moment.
        var again = RedisTransaction()
        for row in suspects {
            again.append("HGET", coding.indexKey, row.name)
            if coding.isOneRowAKey {
                again.append("EXISTS", row.key)
            } else {
                again.append("HEXISTS", row.key, coding.dataField(row.values))
            }
        }
        var replies = try results(ofReading: again)[...]
        var checked: [FoundRow?] = found
        for row in suspects {
            let (place, isThere) = (replies.popFirst()?.bytes, replies.popFirst()?.integer == 1)
            guard isThere, let place, place != row.key else {
                checked[row.index] = nil
                continue
            }
            let field = coding.isOneRowAKey ? nil : coding.dataField(row.values)
            checked[row.index] = .damaged(
                .init(
                    key: nil, place: RowCoding.place(row.key, field),
                    problem:
                        "the same row lies in the key \(RedisProblem.shown(place)), where opsd put it"
                ))
        }
        return checked.compactMap(\.self)
    }

    // MARK: - Damage

    /// What a refusal says of the key; thrown where it says nothing of it.
    func problem(_ reply: RedisReply?, _ key: [UInt8]) throws(StoreError) -> String? {
        guard case .error(let text)? = reply else { return nil }
        let error = RedisProblem.error(text, store: store, key: key)
        guard case .damaged(_, let problem) = error else { throw error }
        return problem
    }

    /// What is kept must not expire, and neither must its stamps.
    /// - Parameter times: PTTL's of the key and of its stamps.
    func expiry(
        _ coding: RowCoding, _ key: [UInt8], _ times: [RedisReply], of row: RowKey?
    ) throws(StoreError) -> DamagedRow? {
        if coding.schema.kind == .cache { return nil }
        for (reply, key) in zip(times, [key, coding.stampKey(key)]) {
            if case .error(let text) = reply {
                throw RedisProblem.error(text, store: store, key: key)
            }
            guard let milliseconds = reply.integer, milliseconds >= 0 else { continue }
            return DamagedRow(
                key: row, place: RowCoding.place(key),
                problem:
                    "it will expire in \(milliseconds / 1_000) s, though what is in it is kept: "
                    + "PERSIST keeps it")
        }
        return nil
    }
}

extension RowCoding {
    fileprivate func content(_ reply: RedisReply?) -> RowContent? {
        guard value == .hash else { return reply?.bytes.map(RowContent.payload) }
        let pairs = reply?.pairs ?? []
        if pairs.isEmpty { return nil }
        return .fields(Dictionary(pairs.map { ($0, $1) }) { first, _ in first })
    }

    /// What lies in a key, or a field of it, that is not even looked into.
    fileprivate func damage(
        _ problem: String, _ key: [UInt8], _ keyValues: [(index: Int, value: Value)]?,
        _ field: [UInt8]?
    ) -> FoundRow {
        .damaged(
            .init(
                key: rowKey(keyValues, field), place: Self.place(key, field), problem: problem))
    }
}

extension FoundRow {
    var damage: DamagedRow? {
        if case .damaged(let damage) = self { damage } else { nil }
    }

    func key(in schema: Schema) -> RowKey? {
        switch self {
        case .row(let stamped): stamped.row.key(in: schema)
        case .damaged(let damage): damage.key
        }
    }

    /// Of what is damaged that is not always known.
    func mayBe(of account: String?, in schema: Schema) -> Bool {
        guard let account, case .row(let stamped) = self else { return true }
        // By bytes: two spellings of one letter are two accounts.
        return schema.accountField.map { stamped.row.values[$0] == .text(account) } ?? true
    }

    /// Where the stamps could not be read, a row is not what it seems.
    fileprivate func withoutStamps(
        _ problem: String?, in schema: Schema, _ key: [UInt8], _ field: [UInt8]?
    ) -> FoundRow {
        guard let problem else { return self }
        return .damaged(
            .init(
                key: self.key(in: schema), place: RowCoding.place(key, field),
                problem: "its stamp: \(problem)"))
    }
}
