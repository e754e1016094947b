internal import Ledger

/// Commands as they go over the wire: arrays of length-prefixed texts.
///
/// They are written here and not by the C library's formatter, which would copy each of them twice.
struct RedisCommands: Sendable {
    private(set) var bytes: [UInt8] = []
    /// So many replies will come.
    private(set) var count = 0

    init() {}

    init(_ words: String...) {
        append(words)
    }

    /// Without the first command, which is this one.
    func dropping(_ first: RedisCommands) -> RedisCommands {
        var rest = RedisCommands()
        rest.bytes = Array(bytes.dropFirst(first.bytes.count))
        rest.count = count - first.count
        return rest
    }

    mutating func reserve(_ capacity: Int) { bytes.reserveCapacity(capacity) }

    /// Keeps the memory.
    mutating func clear() {
        bytes.removeAll(keepingCapacity: true)
        count = 0
    }

    mutating func append(_ words: [String]) {
        begin(words.count)
        for word in words { argument(word) }
    }

    mutating func append(_ name: String, _ key: [UInt8], _ rest: [UInt8]...) {
        begin(2 + rest.count)
        argument(name)
        argument(key)
        for word in rest { argument(word) }
    }

    mutating func append(_ name: String, _ key: [UInt8], _ rest: RedisArguments) {
        begin(2 + rest.count)
        argument(name)
        argument(key)
        bytes += rest.bytes
    }

    mutating func append(_ other: RedisCommands) {
        bytes += other.bytes
        count += other.count
    }

    private mutating func begin(_ words: Int) {
        bytes.append(UInt8(ascii: "*"))
        bytes.appendDigits(Int64(words))
        bytes.appendLineEnd()
        count += 1
    }

    private mutating func argument(_ word: String) { bytes.appendArgument(word.utf8) }
    private mutating func argument(_ word: [UInt8]) { bytes.appendArgument(word) }
}

/// Arguments of one command to come, whose number is not known yet.
struct RedisArguments: Sendable {
    private(set) var bytes: [UInt8] = []
    private(set) var count = 0

    init() {}

    init(_ words: some Sequence<[UInt8]>) {
        for word in words { append(word) }
    }

    var isEmpty: Bool { count == 0 }

    mutating func append(_ word: some Collection<UInt8>) {
        bytes.appendArgument(word)
        count += 1
    }
}

extension [UInt8] {
    fileprivate mutating func appendArgument(_ word: some Collection<UInt8>) {
        append(UInt8(ascii: "$"))
        appendDigits(Int64(word.count))
        appendLineEnd()
        append(contentsOf: word)
        appendLineEnd()
    }

    fileprivate mutating func appendLineEnd() {
        append(0x0D)
        append(0x0A)
    }
}
