internal import Ledger

/// What the store knows of itself: the hash `opsd:store` has the position, the hash `opsd:digests` a
/// field for each scope.
enum StoreRecord {
    static let key = Array("opsd:store".utf8)
    static let digestsKey = Array("opsd:digests".utf8)
    static let appliedField = Array("applied".utf8)
    static let journalField = Array("journal".utf8)
    static let checksumField = Array("checksum".utf8)
    private static let wholePrefix = "dataset:"

    /// A dataset that is wholly there, in the layout that is the field's value.
    static func wholeField(_ dataset: String) -> [UInt8] { Array((wholePrefix + dataset).utf8) }

    static func digestField(_ scope: DigestScope) -> [UInt8] {
        // The account is what follows the first colon that is not escaped.
        Array(escaped(scope.dataset).utf8) + [UInt8(ascii: ":")] + Array(scope.account.utf8)
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("%", with: "%25").replacing(":", with: "%3A")
    }

    static func applied(_ reply: RedisReply, store: String) throws(StoreError) -> SequenceNumber {
        switch reply {
        case .null: return .none
        case .bulk(let bytes):
            if let text = String(validating: bytes, as: UTF8.self), let raw = Int64(text), raw >= 0
            {
                return SequenceNumber(rawValue: raw)
            }
        case .error(let text): throw RedisProblem.error(text, store: store, key: key)
        default: break
        }
        throw .damaged(
            store: store, problem: "the field 'applied' of the key 'opsd:store' is no sequence")
    }

    /// Asks for what `place` reads.
    static var placeQuestion: RedisCommands {
        var commands = RedisCommands()
        commands.append("HMGET", key, journalField, appliedField, checksumField)
        return commands
    }

    static func place(_ reply: RedisReply, store: String) throws(StoreError) -> JournalPlace {
        if case .error(let text) = reply { throw RedisProblem.error(text, store: store, key: key) }
        guard let parts = reply.elements, parts.count == 3 else {
            throw .unavailable(store: store, problem: "HMGET was answered by something else")
        }
        return JournalPlace(
            journal: parts[0].text, applied: try applied(parts[1], store: store),
            checksum: parts[2].text)
    }

    /// Moves the store to a place. Leaves whose copy it is.
    static func move(to place: JournalPlace, in transaction: inout RedisTransaction) {
        transaction.append("HSET", key, appliedField, Array(place.applied.description.utf8))
        if let checksum = place.checksum {
            transaction.append("HSET", key, checksumField, Array(checksum.utf8))
        } else {
            transaction.append("HDEL", key, checksumField)
        }
    }

    /// - Parameter layouts: the text of each dataset's layout. What lies there in another one is not
    ///   whole.
    static func position(
        _ pairs: [(field: [UInt8], value: [UInt8])], layouts: [String: String], store: String
    ) throws(StoreError) -> StorePosition {
        var place = StorePosition.empty.place
        var filled: [String: String?] = [:]
        for (field, value) in pairs {
            let (name, text) = (
                String(decoding: field, as: UTF8.self), String(decoding: value, as: UTF8.self)
            )
            if field == appliedField {
                place.applied = try applied(.bulk(value), store: store)
            } else if field == journalField {
                place.journal = text
            } else if field == checksumField {
                place.checksum = text
            } else if name.hasPrefix(wholePrefix) {
                filled.updateValue(text, forKey: String(name.dropFirst(wholePrefix.count)))
            }
        }
        return StorePosition(place, datasets: StorePosition.whole(filled, in: layouts))
    }

    static func digest(
        _ field: [UInt8], _ value: [UInt8], store: String
    ) throws(StoreError) -> DigestStamp {
        guard let name = String(validating: field, as: UTF8.self),
            let colon = name.firstIndex(of: ":"),
            let digest = String(validating: value, as: UTF8.self).flatMap(digest(_:))
        else {
            throw .damaged(
                store: store,
                problem: "the field \(RedisProblem.shown(field)) of the key 'opsd:digests' is none")
        }
        let dataset = name[..<colon].replacing("%3A", with: ":").replacing("%25", with: "%")
        return DigestStamp(
            scope: DigestScope(
                dataset: String(dataset), account: String(name[name.index(after: colon)...])),
            digest: digest)
    }

    private static func digest(_ text: String) -> Digest? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].utf8.count == 32,
            let sum = UInt128(parts[0], radix: 16), let count = Int64(parts[1])
        else { return nil }
        return Digest(sum: sum, count: count)
    }
}

extension RedisLayout {
    /// What tells this layout from another one of the same dataset.
    var identity: String {
        let names = fields.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return "\(key) \(field ?? "-") \(value) \(names.joined(separator: ",")) "
            + "spelling \(KeyTemplate.spelling)"
    }
}
