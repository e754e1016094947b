/// A row of which only what comparing takes is kept.
public struct HashedRow: Sendable {
    /// Of its key, for looking it up: the lower half of the key's keyed hash.
    public let key: UInt64
    private let high: UInt64
    private let low: UInt64
    /// Its account, as a number that whoever holds the row has given it.
    public var account: Int32

    /// The keyed hash of its canonical encoding, which digests are sums of.
    public var row: UInt128 { UInt128(high) << 64 | UInt128(low) }

    public init(key: UInt64, row: UInt128, account: Int32) {
        self.key = key
        high = UInt64(truncatingIfNeeded: row >> 64)
        low = UInt64(truncatingIfNeeded: row)
        self.account = account
    }
}

/// Some rows as a scan finds them.
public struct HashedRows: Sendable {
    /// The accounts are places in `accounts`.
    public var rows: [HashedRow] = []
    public var accounts: [String] = []
    /// What is no row, and again each row that has no stamp or a stamp beyond what was asked for.
    public var strange: [FoundRow] = []
    /// Rows and what is none.
    public var count: Int {
        rows.count + strange.count { if case .damaged = $0 { true } else { false } }
    }

    public init() {}
}

/// How the rows of a scan are hashed.
public struct RowHashing: Sendable {
    public let schema: Schema
    public let key: SipHashKey
    /// Where the store stood before: rows that are stamped with a later entry are strange.
    public let applied: SequenceNumber

    public init(_ schema: Schema, _ key: SipHashKey, applied: SequenceNumber) {
        self.schema = schema
        self.key = key
        self.applied = applied
    }
}

/// Hashes rows value by value as they come from a store, without making rows of them: their canonical
/// encoding is written into one buffer, again and again.
///
///     begin → a value a field, in the schema's order → end
///
/// A row that cannot be taken so, because a value of it is not a plain one, is begun again or handed over as
/// what was found.
public final class RowHasher {
    private let hashing: RowHashing
    private let keyCount: Int
    private let accountIndex: Int
    private var bytes: UnsafeMutableRawBufferPointer
    private var end: Int
    /// Behind the dataset's name and the number of key fields.
    private let start: Int
    /// Of the row that is being written.
    private var place = 0
    private var keyEnd = 0
    private var nulls = 0
    private var accountStart = 0
    private var accountEnd = 0

    private var found = HashedRows()
    private var numbers: [String: Int32] = [:]
    /// The account of the row before, by its bytes: mostly it is the next one's too.
    private var lastAccount: [UInt8]?
    private var lastNumber: Int32 = 0

    public init(_ hashing: RowHashing) {
        self.hashing = hashing
        keyCount = hashing.schema.keyCount
        accountIndex = hashing.schema.accountField ?? -1
        let empty = Row(dataset: hashing.schema.dataset, values: []).encoded(keyCount: keyCount)
        bytes = .allocate(byteCount: max(4_096, empty.count * 2), alignment: 16)
        bytes.copyBytes(from: empty)
        start = empty.count
        end = start
    }

    deinit { bytes.deallocate() }

    /// What has come since it was asked last.
    public func take() -> HashedRows {
        defer {
            found = HashedRows()
            numbers = [:]
            lastAccount = nil
        }
        return found
    }

    // MARK: - Whole

    public func append(_ row: FoundRow) {
        switch row {
        case .damaged: found.strange.append(row)
        case .row(let stamped):
            begin()
            for value in stamped.row.values { self.value(value) }
            if !end(stamped.sequence) { found.strange.append(row) }
        }
    }

    // MARK: - Value by value

    public func begin() {
        end = start
        place = 0
        keyEnd = start
        nulls = 0
        (accountStart, accountEnd) = (0, 0)
    }

    /// - Returns: false where the row is strange by its stamp: whoever hashes it appends it to the strange ones.
    ///   It is hashed all the same.
    public func end(_ sequence: SequenceNumber) -> Bool {
        if place <= keyCount { keyEnd = end }
        let whole = UnsafeRawBufferPointer(bytes)
        let key = hashing.key.hash(UnsafeRawBufferPointer(rebasing: whole[..<keyEnd]))
        let row = hashing.key.hash(UnsafeRawBufferPointer(rebasing: whole[..<end]))
        found.rows.append(
            HashedRow(key: UInt64(truncatingIfNeeded: key), row: row, account: accountNumber()))
        return sequence != .none && sequence <= hashing.applied
    }

    public func appendStrange(_ row: FoundRow) { found.strange.append(row) }

    public func value(_ value: Value) {
        switch value {
        case .null: null()
        case .text(var text): text.withUTF8 { run(.text, UnsafeRawBufferPointer($0)) }
        case .json(let json):
            var text = json.text
            text.withUTF8 { run(.json, UnsafeRawBufferPointer($0)) }
        case .integer(let number): integer(number)
        case .decimal(let number): decimal(number)
        case .timestamp(let time): timestamp(time)
        case .boolean(let flag): boolean(flag)
        }
    }

    /// A null behind the key is written when something comes after it.
    public func null() {
        if place < keyCount {
            beginValue()
            byte(ValueTag.null.rawValue)
            byte(0)
        } else {
            if place == keyCount { keyEnd = end }
            place += 1
            nulls += 1
        }
    }

    /// - Parameter utf8: a text's bytes, which are known to be one.
    public func text(_ utf8: UnsafeRawBufferPointer) { run(.text, utf8) }

    public func integer(_ number: Int64) { fixed(.integer, number) }

    public func timestamp(_ time: Timestamp) { fixed(.timestamp, time.microseconds) }

    public func boolean(_ flag: Bool) {
        beginValue()
        byte(ValueTag.boolean.rawValue)
        byte(1)
        byte(flag ? 1 : 0)
    }

    public func decimal(_ number: ExactDecimal) {
        beginValue()
        let coefficient = number.coefficient
        guard let small = Int64(exactly: coefficient) else {
            var writer = ByteWriter()
            writer.value(.decimal(number))
            writer.bytes.withUnsafeBytes { raw($0) }
            return
        }
        small64(small, scale: number.scale)
    }

    /// A decimal as people write it, without exponent. False, and nothing written, for any other text.
    public func decimal(written text: UnsafeBufferPointer<UInt8>) -> Bool {
        // Of nineteen digits some do not fit.
        guard (1...18).contains(text.count) else { return false }
        var number: Int64 = 0
        var scale: UInt8 = 0
        var isBehindPoint = false
        var index = 0
        let isNegative = text[0] == UInt8(ascii: "-")
        if isNegative { index = 1 }
        let first = index
        while index < text.count {
            let digit = text[index] &- UInt8(ascii: "0")
            if digit < 10 {
                number = number * 10 + Int64(digit)
                if isBehindPoint { scale += 1 }
            } else if text[index] == UInt8(ascii: "."), !isBehindPoint, index > first {
                isBehindPoint = true
            } else {
                return false
            }
            index += 1
        }
        guard index > first, text[index - 1] != UInt8(ascii: ".") else { return false }
        while scale > 0, number % 10 == 0 {
            number /= 10
            scale -= 1
        }
        beginValue()
        small64(isNegative ? -number : number, scale: scale)
        return true
    }

    // MARK: - Bytes

    private func small64(_ number: Int64, scale: UInt8) {
        byte(ValueTag.decimal.rawValue)
        let significant =
            Int64.bitWidth - (number < 0 ? ~number : number).leadingZeroBitCount + 1
        let length = (significant + 7) / 8
        byte(UInt8(length + 1))
        byte(scale)
        withUnsafeBytes(of: number.littleEndian) {
            raw(UnsafeRawBufferPointer(rebasing: $0.prefix(length)))
        }
    }

    private func fixed(_ tag: ValueTag, _ number: Int64) {
        beginValue()
        byte(tag.rawValue)
        byte(8)
        withUnsafeBytes(of: number.littleEndian) { raw($0) }
    }

    private func run(_ tag: ValueTag, _ run: UnsafeRawBufferPointer) {
        beginValue()
        byte(tag.rawValue)
        var rest = run.count
        while rest >= 0x80 {
            byte(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        byte(UInt8(rest))
        if place == accountIndex + 1, tag == .text {
            (accountStart, accountEnd) = (end, end + run.count)
        }
        raw(run)
    }

    private func beginValue() {
        if place == keyCount { keyEnd = end }
        place += 1
        while nulls > 0 {
            byte(ValueTag.null.rawValue)
            byte(0)
            nulls -= 1
        }
    }

    private func byte(_ byte: UInt8) {
        if end == bytes.count { grow(1) }
        bytes[end] = byte
        end += 1
    }

    private func raw(_ run: UnsafeRawBufferPointer) {
        if end + run.count > bytes.count { grow(run.count) }
        if let from = run.baseAddress, let to = bytes.baseAddress {
            (to + end).copyMemory(from: from, byteCount: run.count)
        }
        end += run.count
    }

    private func grow(_ count: Int) {
        let larger = UnsafeMutableRawBufferPointer.allocate(
            byteCount: (end + count) * 2, alignment: 16)
        larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<end]))
        bytes.deallocate()
        bytes = larger
    }

    private func accountNumber() -> Int32 {
        let account = bytes[accountStart..<accountEnd]
        if let lastAccount, lastAccount.elementsEqual(account) { return lastNumber }
        let name = String(decoding: account, as: UTF8.self)
        lastAccount = Array(account)
        if let known = numbers[name] {
            lastNumber = known
        } else {
            lastNumber = Int32(found.accounts.count)
            numbers[name] = lastNumber
            found.accounts.append(name)
        }
        return lastNumber
    }
}

extension SipHashKey {
    /// Of a row's key, for looking it up; of two keys in ten million the chance is one in 300,000 that
    /// they share it, and then their rows are looked at one by one.
    public func keyHash(_ key: RowKey) -> UInt64 {
        let row = Row(dataset: key.dataset, values: key.values)
        return UInt64(truncatingIfNeeded: hash(row.encoded(keyCount: key.values.count)))
    }
}
