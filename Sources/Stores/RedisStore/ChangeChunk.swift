internal import Ledger

/// A bounded number of changes, as one transaction.
struct ChangeChunk {
    private let changes: ArraySlice<StoreBatch.Change>
    private let codings: [String: RowCoding]
    /// The changes whose row's present key must be looked up, by dataset.
    private var lookups: [(coding: RowCoding, places: [Int])] = []

    init(_ changes: ArraySlice<StoreBatch.Change>, _ codings: [String: RowCoding]) {
        self.changes = changes
        self.codings = codings
        var places: [String: [Int]] = [:]
        for index in changes.indices {
            let dataset = changes[index].key.dataset
            if codings[dataset]?.needsIndex == true { places[dataset, default: []].append(index) }
        }
        for (dataset, places) in places {
            if let coding = codings[dataset] { lookups.append((coding, places)) }
        }
    }

    var needsLookup: Bool { !lookups.isEmpty }

    /// Asks for the keys that the rows lie in now.
    var questions: RedisCommands {
        var commands = RedisCommands()
        for (coding, places) in lookups {
            let names = places.map { coding.indexName(changes[$0].key.values) }
            commands.append("HMGET", coding.indexKey, RedisArguments(names))
        }
        return commands
    }

    /// The keys that the rows lie in now, by change.
    func places(
        _ replies: some Sequence<RedisReply>, store: String
    ) throws(StoreError) -> [Int: [UInt8]] {
        var found: [Int: [UInt8]] = [:]
        for (reply, lookup) in zip(replies, lookups) {
            if case .error(let text) = reply {
                throw RedisProblem.error(text, store: store, key: lookup.coding.indexKey)
            }
            for (place, element) in zip(lookup.places, reply.elements ?? []) {
                found[place] = element.bytes
            }
        }
        return found
    }

    // MARK: - The transaction

    /// What happens to one key that holds many rows.
    private struct Cells {
        let coding: RowCoding
        let key: [UInt8]
        var data = RedisArguments()
        var stamps = RedisArguments()
        var removed = RedisArguments()
    }

    /// - Parameter places: what `places` found; empty without a lookup.
    func transaction(_ places: [Int: [UInt8]]) -> RedisTransaction {
        var writer = Writer()
        writer.transaction.reserve(changes.count * 192)
        for index in changes.indices {
            let change = changes[index]
            guard let coding = codings[change.key.dataset] else { continue }
            if coding.needsIndex {
                writer.moveOut(change, coding, from: places[index])
            }
            if let row = change.row {
                writer.put(row.values, change.sequence, coding)
            } else if !coding.needsIndex {
                writer.remove(change.key.values, coding)
            }
        }
        writer.finish()
        return writer.transaction
    }

    private struct Writer {
        var transaction = RedisTransaction()
        private var cells: [Cells] = []
        private var cellsByKey: [[UInt8]: Int] = [:]
        /// Rows of one key mostly come one after the other.
        private var last: (values: [Value], dataset: String, place: Int)?
        private var payload: [UInt8] = []
        private var stamp: [UInt8] = []

        mutating func put(_ values: [Value], _ sequence: SequenceNumber, _ coding: RowCoding) {
            stamp.removeAll(keepingCapacity: true)
            coding.appendStamp(values, sequence, to: &stamp)
            if coding.isOneRowAKey { return putAlone(values, coding) }
            payload.removeAll(keepingCapacity: true)
            coding.appendPayload(values, to: &payload)
            let field = coding.dataField(values)
            let place = place(of: values, coding)
            cells[place].data.append(field)
            cells[place].data.append(payload)
            cells[place].stamps.append(field)
            cells[place].stamps.append(stamp)
        }

        private mutating func putAlone(_ values: [Value], _ coding: RowCoding) {
            let key = coding.dataKey(values)
            if case .hash = coding.value {
                var fields = RedisArguments()
                for shown in coding.shown {
                    payload.removeAll(keepingCapacity: true)
                    RowCoding.appendText(values[shown.index], to: &payload)
                    fields.append(shown.nameBytes)
                    fields.append(payload)
                }
                transaction.append("HSET", key, fields)
            } else {
                payload.removeAll(keepingCapacity: true)
                coding.appendPayload(values, to: &payload)
                // SET would take the place of any other type; this one refuses.
                transaction.append("GETSET", key, payload)
            }
            transaction.append("HSET", coding.stampKey(key), RowCoding.onlyField, stamp)
            if coding.timeToLive != nil { expire(key, coding) }
        }

        mutating func remove(_ key: [Value], _ coding: RowCoding) {
            if coding.isOneRowAKey {
                remove(coding.dataKey(key), coding)
            } else {
                cells[place(of: key, coding)].removed.append(coding.dataField(key))
            }
        }

        private mutating func remove(_ dataKey: [UInt8], _ coding: RowCoding) {
            transaction.append("UNLINK", dataKey, coding.stampKey(dataKey))
        }

        /// Keeps the index, and takes a row out of the key that it lies in, if it is not to be there.
        mutating func moveOut(
            _ change: StoreBatch.Change, _ coding: RowCoding, from old: [UInt8]?
        ) {
            let new = change.row.map { coding.dataKey($0.values) }
            guard old != new else { return }
            let name = coding.indexName(change.key.values)
            if let new {
                transaction.append("HSET", coding.indexKey, name, new)
            } else {
                transaction.append("HDEL", coding.indexKey, name)
            }
            guard let old else { return }
            if coding.isOneRowAKey { return remove(old, coding) }
            let field = coding.dataField(change.key.values)
            transaction.append("HDEL", old, field)
            transaction.append("HDEL", coding.stampKey(old), field)
        }

        private mutating func place(of values: [Value], _ coding: RowCoding) -> Int {
            if let last, last.dataset == coding.schema.dataset,
                coding.keyIndexes.allSatisfy({ last.values[$0] == values[$0] })
            {
                return last.place
            }
            let key = coding.dataKey(values)
            let place = cellsByKey[key] ?? cells.count
            if place == cells.count {
                cells.append(Cells(coding: coding, key: key))
                cellsByKey[key] = place
            }
            last = (values, coding.schema.dataset, place)
            return place
        }

        mutating func finish() {
            for cell in cells {
                let stampKey = cell.coding.stampKey(cell.key)
                if !cell.data.isEmpty {
                    transaction.append("HSET", cell.key, cell.data)
                    transaction.append("HSET", stampKey, cell.stamps)
                }
                if !cell.removed.isEmpty {
                    transaction.append("HDEL", cell.key, cell.removed)
                    transaction.append("HDEL", stampKey, cell.removed)
                }
                if cell.coding.timeToLive != nil { expire(cell.key, cell.coding) }
            }
        }

        private mutating func expire(_ key: [UInt8], _ coding: RowCoding) {
            transaction.append("PEXPIRE", key, coding.lifeMilliseconds)
            transaction.append("PEXPIRE", coding.stampKey(key), coding.lifeMilliseconds)
        }
    }
}
