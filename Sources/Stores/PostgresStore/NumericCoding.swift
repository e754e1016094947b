internal import Ledger

/// Decimals in the binary form of `numeric`: digits of base 10,000, the weight of the first, the sign,
/// and how many decimal places are shown. Nothing is rounded either way.
enum NumericCoding {
    private static let negative: UInt16 = 0x4000

    static func append(_ number: ExactDecimal, to bytes: inout [UInt8]) {
        let coefficient = number.coefficient
        let scale = Int(number.scale)
        let places = (scale + 3) / 4
        let magnitude = coefficient.magnitude
        // Whole and fractional parts are cut apart first: padded, the whole might not fit.
        var whole = magnitude
        var fraction: UInt128 = 0
        if scale > 0 {
            let unit = powers[scale]
            if let small = UInt64(exactly: magnitude) {
                let (quotient, rest) = small.quotientAndRemainder(
                    dividingBy: UInt64(truncatingIfNeeded: unit))
                (whole, fraction) = (UInt128(quotient), UInt128(rest))
            } else {
                (whole, fraction) = magnitude.quotientAndRemainder(dividingBy: unit)
            }
            fraction *= powers[places * 4 - scale]
        }
        withUnsafeTemporaryAllocation(of: UInt16.self, capacity: 16) { digits in
            // From the lowest up.
            var count = 0
            split(fraction, into: digits, from: &count, exactly: places)
            split(whole, into: digits, from: &count, exactly: nil)
            var weight = count - places - 1
            var top = count
            while top > 0, digits[top - 1] == 0 {
                top -= 1
                weight -= 1
            }
            var bottom = 0
            while bottom < top, digits[bottom] == 0 { bottom += 1 }
            BinaryValue.append(Int16(top - bottom), to: &bytes)
            BinaryValue.append(Int16(top == bottom ? 0 : weight), to: &bytes)
            BinaryValue.append(coefficient < 0 ? negative : 0, to: &bytes)
            BinaryValue.append(Int16(scale), to: &bytes)
            for index in stride(from: top - 1, through: bottom, by: -1) {
                BinaryValue.append(digits[index], to: &bytes)
            }
        }
    }

    private static func split(
        _ value: UInt128, into digits: UnsafeMutableBufferPointer<UInt16>, from count: inout Int,
        exactly: Int?
    ) {
        let end = exactly.map { count + $0 }
        var rest = value
        while end.map({ count < $0 }) ?? (rest > 0) {
            if let small = UInt64(exactly: rest) {
                digits[count] = UInt16(truncatingIfNeeded: small % 10_000)
                rest = UInt128(small / 10_000)
            } else {
                digits[count] = UInt16(truncatingIfNeeded: rest % 10_000)
                rest /= 10_000
            }
            count += 1
        }
    }

    private static let powers: [UInt128] = (0...21).map { exponent in
        (0..<exponent).reduce(UInt128(1)) { power, _ in power * 10 }
    }

    /// Nil for infinities, for what is no number, and for what has more digits than a decimal.
    static func decode(_ bytes: UnsafeRawBufferPointer) -> ExactDecimal? {
        func word(_ index: Int) -> UInt16 {
            UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))
        }
        guard bytes.count >= 8 else { return nil }
        let (count, weight) = (Int(word(0)), Int(Int16(bitPattern: word(1))))
        let sign = word(2)
        guard bytes.count == 8 + 2 * count, sign == 0 || sign == negative else { return nil }
        if count == 0 { return .zero }
        var coefficient: Int128 = 0
        var scale = (count - 1 - weight) * 4
        for index in 0..<count {
            var digit = Int128(word(4 + index))
            var base: Int128 = 10_000
            // Zeros at the end of the last digit may be too much for the coefficient.
            while index == count - 1, scale > 0, base > 1, digit % 10 == 0 {
                digit /= 10
                base /= 10
                scale -= 1
            }
            let (product, tooLarge) = coefficient.multipliedReportingOverflow(by: base)
            let (sum, overflow) = product.addingReportingOverflow(digit)
            if tooLarge || overflow { return nil }
            coefficient = sum
        }
        return try? ExactDecimal(
            coefficient: sign == negative ? -coefficient : coefficient, scale: scale)
    }
}
