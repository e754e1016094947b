internal import Ledger

/// One scan of rows that are plain JSON objects in the fields of a hash, for their hashes.
final class PlainScan {
    let coding: RowCoding
    let hasher: RowHasher
    let replies = FlatReplies()

    init(_ coding: RowCoding, _ hashing: RowHashing) {
        self.coding = coding
        hasher = RowHasher(hashing)
    }
}

extension RowCoding {
    /// Whether rows can be hashed as they lie: names tell the key, a JSON object the rest, in the schema's
    /// order.
    var isPlain: Bool {
        guard soleText != nil, value == .json, hidden.isEmpty, !needsIndex,
            let first = shown.first?.index
        else { return false }
        return zip(shown, first...).allSatisfy { $0.index == $1 }
            && first + shown.count == schema.fields.count
    }
}

extension RedisConnection {
    /// Hashes all rows of some keys.
    func hash(_ keys: [[UInt8]], _ scan: PlainScan) throws(StoreError) {
        let (coding, replies) = (scan.coding, scan.replies)
        var question = RedisTransaction()
        for key in keys {
            question.append("HGETALL", key)
            question.append("HGETALL", coding.stampKey(key))
        }
        let commands = question.whole
        replies.removeAll()
        try write(commands)
        try read(commands.count, into: replies)
        // MULTI, and each command that waits for EXEC.
        let first = commands.count - 1
        let tokens = replies.tokens
        guard tokens.count > first, tokens[..<first].allSatisfy({ $0.kind == .status }),
            tokens[first].kind == .array, tokens[first].count == keys.count * 2
        else {
            // A server that is full, say: the longer way copes with it, or says what is wrong.
            for row in try whole(coding, keys) { scan.hasher.append(row) }
            return
        }
        var place = first + 1
        for key in keys {
            let data = place
            let stamps = scan.end(of: data)
            place = scan.end(of: stamps)
            if !scan.hash(key, data: data, stamps: stamps) {
                for row in try whole(coding, [key]) { scan.hasher.append(row) }
            }
        }
    }
}

extension PlainScan {
    /// The token behind an answer to HGETALL.
    fileprivate func end(of answer: Int) -> Int {
        let token = replies.tokens[answer]
        return answer + 1 + (token.kind == .array ? token.count : 0)
    }

    /// - Returns: false, and nothing is hashed, where the answers are no hashes.
    fileprivate func hash(_ key: [UInt8], data: Int, stamps: Int) -> Bool {
        let tokens = replies.tokens
        guard tokens[data].kind == .array, tokens[stamps].kind == .array,
            let keyValues = coding.values(coding.key, in: key)
        else { return false }
        let stampEnd = stamps + 1 + tokens[stamps].count
        var stampOf: [[UInt8]: FlatReplies.Token]?
        var stamp = stamps + 1
        for field in stride(from: data + 1, to: data + tokens[data].count, by: 2) {
            // Both hashes have the same fields, and mostly in the same order.
            var found: FlatReplies.Token?
            if stamp < stampEnd, isSame(tokens[stamp], tokens[field]) {
                found = tokens[stamp + 1]
            } else {
                let known = stampOf ?? stampsByField(from: stamps + 1, to: stampEnd)
                stampOf = known
                found = known[replies.array(tokens[field])]
            }
            stamp += 2
            hash(tokens[field], tokens[field + 1], stamp: found, in: key, keyValues)
        }
        return true
    }

    private func isSame(_ one: FlatReplies.Token, _ other: FlatReplies.Token) -> Bool {
        one.count == other.count && replies.bytes(of: one).elementsEqual(replies.bytes(of: other))
    }

    private func stampsByField(from start: Int, to end: Int) -> [[UInt8]: FlatReplies.Token] {
        var stamps: [[UInt8]: FlatReplies.Token] = [:]
        for place in stride(from: start, to: end - 1, by: 2) {
            stamps[replies.array(replies.tokens[place])] = replies.tokens[place + 1]
        }
        return stamps
    }

    private func hash(
        _ field: FlatReplies.Token, _ payload: FlatReplies.Token, stamp: FlatReplies.Token?,
        in key: [UInt8], _ keyValues: [(index: Int, value: Value)]
    ) {
        if let stamp, let sequence = plainSequence(replies.bytes(of: stamp)),
            begin(replies.bytes(of: field), keyValues), members(replies.bytes(of: payload))
        {
            if hasher.end(sequence) { return }
            // It is strange by its stamp, and hashed already.
            return hasher.appendStrange(found(field, payload, stamp, in: key, keyValues))
        }
        hasher.append(found(field, payload, stamp, in: key, keyValues))
    }

    private func found(
        _ field: FlatReplies.Token, _ payload: FlatReplies.Token, _ stamp: FlatReplies.Token?,
        in key: [UInt8], _ keyValues: [(index: Int, value: Value)]
    ) -> FoundRow {
        coding.found(
            .payload(replies.array(payload)), key: key, tells: keyValues,
            field: replies.array(field), stamp: stamp.map { replies.array($0) })
    }

    /// The values that the names tell. False for a field that is not written as it is.
    private func begin(
        _ field: UnsafeBufferPointer<UInt8>, _ keyValues: [(index: Int, value: Value)]
    ) -> Bool {
        guard !field.isEmpty,
            field.allSatisfy({
                $0 >= 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "%")
            })
        else { return false }
        hasher.begin()
        for index in 0..<(coding.shown.first?.index ?? 0) {
            if index == coding.soleText {
                hasher.text(UnsafeRawBufferPointer(field))
            } else if let known = keyValues.first(where: { $0.index == index }) {
                hasher.value(known.value)
            } else {
                return false
            }
        }
        return true
    }

    private func members(_ payload: UnsafeBufferPointer<UInt8>) -> Bool {
        let shown = coding.shown
        var place = 0
        let isPlain = FlatObject.read(payload) { name, token in
            guard place < shown.count, shown[place].nameBytes.elementsEqual(name) else {
                return false
            }
            defer { place += 1 }
            return value(token, of: shown[place].field)
        }
        return isPlain && place == shown.count
    }

    private func value(_ token: FlatObject.Token, of field: Field) -> Bool {
        switch (token, field.type) {
        case (.string(let bytes), .text) where bytes.allSatisfy { $0 < 0x80 }:
            hasher.text(UnsafeRawBufferPointer(bytes))
        case (.string(let bytes), .decimal) where hasher.decimal(written: bytes): break
        default:
            guard let value = FlatObject.value(token, of: field) else { return false }
            hasher.value(value)
        }
        return true
    }

    /// Nil for a stamp that says more.
    private func plainSequence(_ bytes: UnsafeBufferPointer<UInt8>) -> SequenceNumber? {
        guard (1...18).contains(bytes.count) else { return nil }
        var number: Int64 = 0
        for byte in bytes {
            let digit = byte &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            number = number * 10 + Int64(digit)
        }
        return SequenceNumber(rawValue: number)
    }
}
