internal import Glibc

/// The series seen so far, by their bytes. A hash table over positions in two texts, because a set
/// of strings or of arrays would allocate once a series, and a merge sees tens of thousands.
struct SeriesSet {
    /// Where a series' bytes are: in the merged inputs, or in the text of rewritten lines.
    struct Place: Equatable {
        var isRewritten: Bool
        var range: Range<Int>
    }

    /// The upper half of a series' hash, and in the lower half its number in `places` plus one; zero
    /// where nothing is. Small, because most of the time goes into reaching it in memory.
    private var slots: [UInt64]
    private var places: [Place] = []

    init(capacity: Int) {
        var size = 64
        while size < capacity * 2 { size *= 2 }
        slots = Array(repeating: 0, count: size)
        places.reserveCapacity(capacity)
    }

    /// False when a series of the same bytes is there already.
    mutating func insert(
        _ place: Place, inputs: UnsafeBufferPointer<UInt8>, rewritten: [UInt8]
    ) -> Bool {
        if places.count * 2 >= slots.count { grow() }
        let hash = Self.withBytes(of: place, inputs, rewritten) { Self.hash($0) }
        let mark = hash & Self.markMask
        var index = slotIndex(mark)
        while slots[index] != 0 {
            let number = Int(truncatingIfNeeded: slots[index] & ~Self.markMask) - 1
            if slots[index] & Self.markMask == mark,
                Self.equal(places[number], place, inputs, rewritten)
            {
                return false
            }
            index = (index + 1) & (slots.count - 1)
        }
        places.append(place)
        slots[index] = mark | UInt64(places.count)
        return true
    }

    private static let markMask: UInt64 = 0xFFFF_FFFF_0000_0000

    private func slotIndex(_ mark: UInt64) -> Int {
        Int(truncatingIfNeeded: mark >> 32) & (slots.count - 1)
    }

    private mutating func grow() {
        let old = slots
        slots = Array(repeating: 0, count: old.count * 2)
        for slot in old where slot != 0 {
            var index = slotIndex(slot & Self.markMask)
            while slots[index] != 0 { index = (index + 1) & (slots.count - 1) }
            slots[index] = slot
        }
    }

    private static func equal(
        _ left: Place, _ right: Place, _ inputs: UnsafeBufferPointer<UInt8>, _ rewritten: [UInt8]
    ) -> Bool {
        guard left.range.count == right.range.count else { return false }
        return withBytes(of: left, inputs, rewritten) { left in
            withBytes(of: right, inputs, rewritten) { right in
                guard let left = left.baseAddress, let rightBase = right.baseAddress else {
                    return true
                }
                return memcmp(left, rightBase, right.count) == 0
            }
        }
    }

    private static func withBytes<Result>(
        of place: Place, _ inputs: UnsafeBufferPointer<UInt8>, _ rewritten: [UInt8],
        _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        if place.isRewritten {
            return rewritten.withUnsafeBytes {
                body(UnsafeRawBufferPointer(rebasing: $0[place.range]))
            }
        }
        return body(
            UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(inputs)[place.range]))
    }

    /// Eight bytes at a time, each multiplied into the next. Nobody gains from a collision here: the
    /// texts come from this machine's own services, and equality is decided by the bytes.
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15 ^ UInt64(bytes.count)
        var offset = 0
        while offset + 8 <= bytes.count {
            state = mix(state, bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset += 8
        }
        var rest: UInt64 = 0
        while offset < bytes.count {
            rest = rest << 8 | UInt64(bytes[offset])
            offset += 1
        }
        return mix(state, rest)
    }

    @inline(__always)
    private static func mix(_ state: UInt64, _ word: UInt64) -> UInt64 {
        let product = (state ^ word).multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
        return product.high ^ product.low
    }
}
