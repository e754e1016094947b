internal import Ledger

/// What the store knows of itself: the hash `opsd:store` has the position, the hash `opsd:digests` a
/// field for each scope.
enum StoreRecord {
    static let key = Array("opsd:store".utf8)
    static let digestsKey = Array("opsd:digests".utf8)
    static let appliedField = Array("applied".utf8)
    static let journalField = Array("journal".utf8)
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

    /// - Parameter layouts: the text of each dataset's layout. What lies there in another one is not
    ///   whole.
    static func position(
        _ pairs: [(field: [UInt8], value: [UInt8])], layouts: [String: String], store: String
    ) throws(StoreError) -> StorePosition {
        var position = StorePosition.empty
        for (field, value) in pairs {
            let text = String(decoding: value, as: UTF8.self)
            if field == appliedField {
                position.applied = try applied(.bulk(value), store: store)
            } else if field == journalField {
                position.journal = text
            }
        }
        for (dataset, layout) in layouts {
            let field = wholeField(dataset)
            if pairs.contains(where: { $0.field == field && $0.value == Array(layout.utf8) }) {
                position.datasets.insert(dataset)
            }
        }
        return position
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
