extension [UInt8] {
    /// Appends a number in decimal digits, without the detour over a text.
    public mutating func appendDigits(_ number: Int64) {
        if number < 0 { append(UInt8(ascii: "-")) }
        appendDigits(number.magnitude, paddedTo: 1)
    }

    /// With zeros in front, so that there are at least so many digits.
    mutating func appendDigits(_ number: UInt64, paddedTo width: Int) {
        let start = count
        var rest = number
        while rest > 0 || count - start < width {
            append(UInt8(truncatingIfNeeded: 48 + rest % 10))
            rest /= 10
        }
        reverse(from: start)
    }

    /// In place: `self[start...].reverse()` would copy the slice twice.
    mutating func reverse(from start: Int) {
        var (low, high) = (start, count - 1)
        while low < high {
            swapAt(low, high)
            (low, high) = (low + 1, high - 1)
        }
    }
}
