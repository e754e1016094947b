internal import Ledger

/// Writing, on the connection's own thread.
///
/// Rows and stamps go in transactions of a bounded size. Only when every reply was good, the applied
/// sequence follows in one of its own: it may trail the rows, and never leads them. All the while the
/// store's record is watched, so that of two writers at most one goes on.
extension RedisConnection {
    /// - Parameter rowsMax: of one transaction; the server answers nobody else meanwhile.
    func apply(
        _ batch: StoreBatch, _ codings: [String: RowCoding], rowsMax: Int
    ) throws(StoreError) {
        try watched { () throws(StoreError) in
            try applyWatched(batch, codings, rowsMax: rowsMax)
        }
    }

    /// What is watched is let go of where a transaction does not do it.
    private func watched(_ body: () throws(StoreError) -> Void) throws(StoreError) {
        do throws(StoreError) {
            try body()
        } catch {
            _ = try? send(RedisCommands("UNWATCH"))
            throw error
        }
    }

    private func applyWatched(
        _ batch: StoreBatch, _ codings: [String: RowCoding], rowsMax: Int
    ) throws(StoreError) {
        var chunks = Chunks(batch.changes, codings, rowsMax: rowsMax)
        var chunk = chunks.next()
        var opening = Opening(chunk, isWatched: true)
        var (place, places) = try opening.outcome(try send(opening.commands), store: store)
        guard try batch.isDue(at: place, of: store) else {
            _ = try send(RedisCommands("UNWATCH"))
            return
        }
        let first = place
        var prepared: RedisTransaction?
        while let present = chunk {
            let transaction = prepared ?? present.transaction(places)
            chunk = chunks.next()
            opening = Opening(chunk, isWatched: true)
            let commands = transaction.whole
            try write(commands)
            try write(opening.commands)
            // While the server works on this one.
            prepared = chunk.flatMap { $0.needsLookup ? nil : $0.transaction([:]) }
            let replies = try read(commands.count)
            (place, places) = try opening.outcome(
                try read(opening.commands.count), store: store)
            guard try transaction.outcome(replies, store: store) != nil, place == first else {
                throw .moved(store: store, applied: place.applied)
            }
        }
        var last = RedisTransaction()
        StoreRecord.move(to: batch.through, in: &last)
        Self.append(batch.digests, to: &last)
        try executeWatched(last)
    }

    private func executeWatched(_ transaction: RedisTransaction) throws(StoreError) {
        guard try execute(transaction) == nil else { return }
        let found = try send(StoreRecord.placeQuestion).first ?? .null
        throw .moved(
            store: store, applied: try StoreRecord.place(found, store: store).applied)
    }

    /// Watches the store's record, and looks whether it has this position; nil for any.
    private func watch(
        _ wanted: StorePosition?, layouts: [String: String]
    ) throws(StoreError) {
        var commands = RedisCommands("WATCH", "opsd:store")
        commands.append(["HGETALL", "opsd:store"])
        let replies = try send(commands)
        for case .error(let text) in replies {
            throw RedisProblem.error(text, store: store, key: StoreRecord.key)
        }
        let position = try StoreRecord.position(
            replies.last?.pairs ?? [], layouts: layouts, store: store)
        try position.expect(wanted, of: store)
    }

    func fill(
        _ changes: [StoreBatch.Change], at begun: StorePosition?, _ codings: [String: RowCoding],
        layouts: [String: String], rowsMax: Int
    ) throws(StoreError) {
        var chunks = Chunks(changes, codings, rowsMax: rowsMax)
        while let chunk = chunks.next() {
            try watched { () throws(StoreError) in
                // Rows of a cache follow no journal, and do not mind what those do that do.
                if begun != nil { try watch(begun, layouts: layouts) }
                let opening = Opening(chunk, isWatched: false)
                let places = try opening.outcome(try send(opening.commands), store: store).places
                try executeWatched(chunk.transaction(places))
            }
        }
    }

    func finish(
        _ position: StorePosition, from begun: StorePosition?, digests: [DigestStamp],
        layouts: [String: String]
    ) throws(StoreError) {
        try watched { () throws(StoreError) in
            try watch(begun, layouts: layouts)
            var transaction = RedisTransaction()
            try take(position, layouts: layouts, in: &transaction)
            Self.append(digests, to: &transaction)
            try executeWatched(transaction)
        }
    }

    /// Takes the datasets out of the position, before their rows go.
    func begin(
        _ datasets: Set<String>, from found: StorePosition?, as begun: StorePosition,
        layouts: [String: String]
    ) throws(StoreError) {
        try watched { () throws(StoreError) in
            try watch(found, layouts: layouts)
            var transaction = RedisTransaction()
            try take(begun, layouts: layouts, in: &transaction)
            var gone = RedisArguments()
            for stamp in try digests() where datasets.contains(stamp.scope.dataset) {
                gone.append(StoreRecord.digestField(stamp.scope))
            }
            if !gone.isEmpty { transaction.append("HDEL", StoreRecord.digestsKey, gone) }
            try executeWatched(transaction)
        }
    }

    private func take(
        _ position: StorePosition, layouts: [String: String],
        in transaction: inout RedisTransaction
    ) throws(StoreError) {
        var fields = RedisArguments()
        if let journal = position.journal {
            fields.append(StoreRecord.journalField)
            fields.append(journal.utf8)
        }
        for dataset in position.datasets.sorted() {
            guard let layout = layouts[dataset] else {
                throw .refused(store: store, problem: "no dataset '\(dataset)' is known")
            }
            fields.append(StoreRecord.wholeField(dataset))
            fields.append(layout.utf8)
        }
        transaction.append("DEL", StoreRecord.key)
        StoreRecord.move(to: position.place, in: &transaction)
        if !fields.isEmpty { transaction.append("HSET", StoreRecord.key, fields) }
    }

    /// Takes out what is in the dataset's keys, and in those that its stamps name: they may be of an
    /// earlier layout.
    func empty(_ coding: RowCoding) throws(StoreError) {
        let prefix = String(decoding: coding.stampPrefix, as: UTF8.self)
        try scan(RowCoding.globLiteral(prefix) + "*") { keys throws(StoreError) in
            let named = keys.map { Array($0.dropFirst(coding.stampPrefix.count)) }
            try unlink(keys + named.filter { !$0.isEmpty })
        }
        try scan(coding.pattern) { keys throws(StoreError) in
            try unlink(keys.filter { coding.values(coding.key, in: $0) != nil })
        }
        try unlink([coding.indexKey])
    }

    private func unlink(_ keys: [[UInt8]]) throws(StoreError) {
        guard let first = keys.first else { return }
        var transaction = RedisTransaction()
        transaction.append("UNLINK", first, RedisArguments(keys.dropFirst()))
        _ = try results(of: transaction)
    }

    private static func append(_ digests: [DigestStamp], to transaction: inout RedisTransaction) {
        var fields = RedisArguments()
        for stamp in digests {
            fields.append(StoreRecord.digestField(stamp.scope))
            fields.append(stamp.digest.description.utf8)
        }
        if !fields.isEmpty { transaction.append("HSET", StoreRecord.digestsKey, fields) }
    }
}

/// A batch in parts.
private struct Chunks {
    private var rest: ArraySlice<StoreBatch.Change>
    private let codings: [String: RowCoding]
    private let rowsMax: Int

    init(_ changes: [StoreBatch.Change], _ codings: [String: RowCoding], rowsMax: Int) {
        rest = changes[...]
        self.codings = codings
        self.rowsMax = rowsMax
    }

    mutating func next() -> ChangeChunk? {
        if rest.isEmpty { return nil }
        defer { rest = rest.dropFirst(rowsMax) }
        return ChangeChunk(rest.prefix(rowsMax), codings)
    }
}

/// What is asked before a chunk is written.
private struct Opening {
    let commands: RedisCommands
    private let chunk: ChangeChunk?
    private let isWatched: Bool

    init(_ chunk: ChangeChunk?, isWatched: Bool) {
        self.chunk = chunk
        self.isWatched = isWatched
        var commands = RedisCommands()
        if isWatched {
            commands.append("WATCH", StoreRecord.key)
            commands.append(StoreRecord.placeQuestion)
        }
        if let chunk { commands.append(chunk.questions) }
        self.commands = commands
    }

    func outcome(
        _ replies: [RedisReply], store: String
    ) throws(StoreError) -> (place: JournalPlace, places: [Int: [UInt8]]) {
        var rest = replies[...]
        var place = StorePosition.empty.place
        if isWatched {
            if case .error(let text)? = rest.popFirst() {
                throw RedisProblem.error(text, store: store, key: StoreRecord.key)
            }
            place = try StoreRecord.place(rest.popFirst() ?? .null, store: store)
        }
        return (place, try chunk?.places(rest, store: store) ?? [:])
    }
}
