internal import Ledger

/// Which of some names came already. SCAN and HSCAN give a name twice when a table grows or shrinks on the
/// way, and there may be ten million names: a hash of 64 bits stands for each. That two names of so many
/// share one has a chance of one in 300,000, and then one of them is passed over.
struct SeenNames: Sendable {
    /// In parts, so that not all of it has to move when it grows.
    private var parts = [Set<UInt64>](repeating: [], count: 64)

    /// False when it came already.
    mutating func insert(_ name: [UInt8]) -> Bool {
        var hasher = Hasher()
        name.withUnsafeBytes { hasher.combine(bytes: $0) }
        let hash = UInt64(bitPattern: Int64(hasher.finalize()))
        return parts[Int(hash >> 58)].insert(hash).inserted
    }
}

/// On its way over the keys of a pattern.
struct KeyWalk {
    let pattern: String
    /// Nil at the end.
    fileprivate var cursor: String? = "0"
    fileprivate var seen = SeenNames()

    init(pattern: String) {
        self.pattern = pattern
    }
}

/// On its way over the fields of a hash.
struct FieldWalk {
    let key: [UInt8]
    fileprivate var cursor: [UInt8]? = Array("0".utf8)
    fileprivate var seen = SeenNames()

    init(key: [UInt8]) {
        self.key = key
    }
}

extension RedisConnection {
    private static let end = Array("0".utf8)

    /// The next keys, none twice; nil at the end.
    func nextKeys(_ walk: inout KeyWalk) throws(StoreError) -> [[UInt8]]? {
        while let cursor = walk.cursor {
            let page =
                try command("SCAN", cursor, "MATCH", walk.pattern, "COUNT", "1000").elements ?? []
            guard page.count == 2, let next = page[0].text, let keys = page[1].elements else {
                throw unavailable("SCAN was answered by something else")
            }
            walk.cursor = next == "0" ? nil : next
            let new = keys.compactMap(\.bytes).filter { walk.seen.insert($0) }
            if !new.isEmpty { return new }
        }
        return nil
    }

    /// The next fields, none twice; nil at the end.
    func nextFields(_ walk: inout FieldWalk) throws(StoreError) -> [[UInt8]]? {
        while let cursor = walk.cursor {
            var question = RedisTransaction()
            question.append("HSCAN", walk.key, cursor, Array("COUNT".utf8), Array("2000".utf8))
            let page = try results(ofReading: question).first?.elements ?? []
            guard page.count == 2, let next = page[0].bytes else {
                throw unavailable("HSCAN was answered by something else")
            }
            walk.cursor = next == Self.end ? nil : next
            let new = page[1].pairs.map(\.field).filter { walk.seen.insert($0) }
            if !new.isEmpty { return new }
        }
        return nil
    }
}
