/// Bytes that grow, with the few ways of writing that the exposition formats need.
struct TextBuffer {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int = 0) {
        bytes.reserveCapacity(capacity)
    }

    @inline(__always)
    mutating func append(_ text: [UInt8]) {
        bytes.append(contentsOf: text)
    }

    @inline(__always)
    mutating func append(_ text: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: text)
    }

    mutating func append(_ text: String) {
        bytes.append(contentsOf: text.utf8)
    }

    @inline(__always)
    mutating func append(byte: UInt8) {
        bytes.append(byte)
    }

    /// Escapes backslash and newline, and the double quote where the format asks for it.
    mutating func appendEscaped(_ text: String, quotes: Bool) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): append("\\\\")
            case UInt8(ascii: "\n"): append("\\n")
            case UInt8(ascii: "\"") where quotes: append("\\\"")
            default: bytes.append(byte)
            }
        }
    }

    mutating func append(integer value: UInt64) {
        guard value >= 10 else {
            bytes.append(UInt8(truncatingIfNeeded: value) &+ 0x30)
            return
        }
        // The digits come out last first: they are written to their places from the right.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var rest = value
            var start = 20
            while rest > 0 {
                let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
                start &-= 1
                digits[start] = UInt8(truncatingIfNeeded: digit) &+ 0x30
                rest = quotient
            }
            bytes.append(contentsOf: UnsafeMutableBufferPointer(rebasing: digits[start...]))
        }
    }

    mutating func append(integer value: Int64) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        append(integer: value.magnitude)
    }

    /// Whole numbers without a point as long as a double holds them exactly, everything else in the
    /// shortest form that reads back as the same double.
    mutating func append(number value: Double) {
        if value.magnitude < 9_007_199_254_740_992, value == value.rounded(.towardZero) {
            append(integer: Int64(value))
        } else if value.isNaN {
            append("NaN")
        } else if value.isInfinite {
            append(value < 0 ? "-Inf" : "+Inf")
        } else {
            append(value.description)
        }
    }

    /// Whole nanoseconds as seconds, exactly.
    mutating func append(nanosecondsAsSeconds value: Int64) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        let (whole, fraction) = value.magnitude.quotientAndRemainder(dividingBy: 1_000_000_000)
        append(integer: whole)
        guard fraction > 0 else { return }
        var rest = fraction
        var places = 9
        while rest % 10 == 0 {
            rest /= 10
            places -= 1
        }
        bytes.append(UInt8(ascii: "."))
        var unit: UInt64 = 1
        for _ in 1..<places { unit *= 10 }
        while unit > 0 {
            bytes.append(UInt8(truncatingIfNeeded: rest / unit % 10) &+ 0x30)
            unit /= 10
        }
    }
}
