/// An exact decimal number: `coefficient · 10^-scale`, kept without trailing zeros, so that equal
/// numbers have equal representations (`1.50 == 1.5000`, and both hash and encode alike).
///
/// Range: at most 38 significant digits and at most 18 digits after the point. An operation whose
/// exact result does not fit throws; nothing is ever rounded unless a function says so in its name.
public struct ExactDecimal: Hashable, Sendable {
    /// The halves of the coefficient. Kept apart because an `Int128` inside an enumeration
    /// (`Value`) makes Swift 6.3 emit, unoptimised, aligned loads from unaligned addresses.
    private let high: Int64
    private let low: UInt64
    /// How many of the digits stand after the point: 0 to 18.
    public let scale: UInt8

    /// The digits as an integer, with the sign.
    @inline(__always)
    public var coefficient: Int128 { Int128(high) << 64 | Int128(low) }

    public static let scaleMax: UInt8 = 18
    public static let zero = ExactDecimal(0)

    public init(_ integer: Int) {
        self.init(unchecked: Int128(integer), scale: 0)
    }

    /// Throws `outOfRange` when more than 18 digits after the point would be needed.
    public init(coefficient: Int128, scale: Int) throws(DecimalError) {
        var coefficient = coefficient
        var scale = scale
        while scale > 0, coefficient % 10 == 0 {
            if coefficient == 0 {
                scale = 0
                break
            }
            coefficient /= 10
            scale -= 1
        }
        while scale < 0 {
            let (product, overflow) = coefficient.multipliedReportingOverflow(by: 10)
            guard !overflow else { throw .outOfRange }
            coefficient = product
            scale += 1
        }
        guard scale <= Int(Self.scaleMax), coefficient.magnitude <= Self.coefficientMax else {
            throw .outOfRange
        }
        self.init(unchecked: coefficient, scale: UInt8(scale))
    }

    private static let coefficientMax: UInt128 = 99_999_999_999_999_999_999_999_999_999_999_999_999
}

/// Why a decimal could not be made. Retrying the same input does not help.
public enum DecimalError: Error, Equatable {
    /// The exact result has more than 38 digits, or more than 18 after the point.
    case outOfRange
    case divisionByZero
}

// MARK: - Text

extension ExactDecimal: LosslessStringConvertible, CustomStringConvertible {
    /// Reads `-12.50`, `7`, `.5` and, as JSON numbers may be written, `1e-3`. Nil for anything else
    /// and for what is out of range.
    public init?(_ text: some StringProtocol) {
        var copy = String(text)
        let parsed = copy.withUTF8 { Self.parse($0) }
        guard let parsed else { return nil }
        self = parsed
    }

    private static func parse(_ utf8: UnsafeBufferPointer<UInt8>) -> ExactDecimal? {
        var index = 0
        var negative = false
        if let first = utf8.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
            negative = first == UInt8(ascii: "-")
            index = 1
        }
        var coefficient: Int128 = 0
        var digits = 0
        var scale = 0
        var seenPoint = false
        scan: while index < utf8.count {
            let byte = utf8[index]
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                let (tenfold, overflow) = coefficient.multipliedReportingOverflow(by: 10)
                guard !overflow else { return nil }
                let (sum, carried) = tenfold.addingReportingOverflow(Int128(byte - 48))
                guard !carried else { return nil }
                coefficient = sum
                digits += 1
                if seenPoint { scale += 1 }
            case UInt8(ascii: ".") where !seenPoint:
                seenPoint = true
            case UInt8(ascii: "e"), UInt8(ascii: "E"):
                break scan
            default:
                return nil
            }
            index += 1
        }
        guard digits > 0 else { return nil }
        if index < utf8.count {
            guard let exponent = parseExponent(utf8, from: index + 1) else { return nil }
            scale -= exponent
        }
        return try? ExactDecimal(coefficient: negative ? -coefficient : coefficient, scale: scale)
    }

    private static func parseExponent(_ utf8: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
        var index = start
        var negative = false
        if index < utf8.count, utf8[index] == UInt8(ascii: "-") || utf8[index] == UInt8(ascii: "+")
        {
            negative = utf8[index] == UInt8(ascii: "-")
            index += 1
        }
        var exponent = 0
        guard index < utf8.count, utf8.count - index <= 3 else { return nil }
        while index < utf8.count {
            guard (48...57).contains(utf8[index]) else { return nil }
            exponent = exponent * 10 + Int(utf8[index] - 48)
            index += 1
        }
        return negative ? -exponent : exponent
    }

    public var description: String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(24)
        append(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends `description`.
    public func append(to bytes: inout [UInt8]) {
        if isNegative { bytes.append(UInt8(ascii: "-")) }
        let start = bytes.count
        // The last digit first, and one before the point at least.
        let point = scale == 0 ? -1 : start + Int(scale)
        let least = start + Int(scale) + (scale == 0 ? 1 : 2)
        var large = coefficient.magnitude
        while large > UInt128(UInt64.max) {
            if bytes.count == point { bytes.append(UInt8(ascii: ".")) }
            let (rest, digit) = large.quotientAndRemainder(dividingBy: 10)
            bytes.append(UInt8(truncatingIfNeeded: 48 + digit))
            large = rest
        }
        var small = UInt64(truncatingIfNeeded: large)
        while small > 0 || bytes.count < least {
            if bytes.count == point { bytes.append(UInt8(ascii: ".")) }
            bytes.append(UInt8(truncatingIfNeeded: 48 + small % 10))
            small /= 10
        }
        bytes.reverse(from: start)
    }
}

// MARK: - Order

extension ExactDecimal: Comparable {
    public static func < (left: ExactDecimal, right: ExactDecimal) -> Bool {
        if left.scale == right.scale { return left.coefficient < right.coefficient }
        // Compare the whole parts first: that cannot overflow. Scaling both to the larger scale can.
        let (leftWhole, leftRest) = left.wholeAndRest
        let (rightWhole, rightRest) = right.wholeAndRest
        if leftWhole != rightWhole { return leftWhole < rightWhole }
        return leftRest < rightRest
    }

    /// The whole part, and the rest in units of 10^-18.
    private var wholeAndRest: (Int128, Int128) {
        let unit = Self.powerOfTen(Int(scale))
        let (whole, rest) = coefficient.quotientAndRemainder(dividingBy: unit)
        return (whole, rest * Self.powerOfTen(Int(Self.scaleMax - scale)))
    }

    static func powerOfTen(_ exponent: Int) -> Int128 {
        var power: Int128 = 1
        for _ in 0..<exponent { power *= 10 }
        return power
    }

    public var isZero: Bool { coefficient == 0 }
    public var isNegative: Bool { coefficient < 0 }
    public var isPositive: Bool { coefficient > 0 }
}

// MARK: - Arithmetic

extension ExactDecimal {
    public func adding(_ other: ExactDecimal) throws(DecimalError) -> ExactDecimal {
        let common = max(scale, other.scale)
        let left = try coefficient(atScale: common)
        let right = try other.coefficient(atScale: common)
        let (sum, overflow) = left.addingReportingOverflow(right)
        guard !overflow else { throw .outOfRange }
        return try ExactDecimal(coefficient: sum, scale: Int(common))
    }

    public func subtracting(_ other: ExactDecimal) throws(DecimalError) -> ExactDecimal {
        try adding(other.negated)
    }

    public func multiplied(by other: ExactDecimal) throws(DecimalError) -> ExactDecimal {
        let (product, overflow) = coefficient.multipliedReportingOverflow(by: other.coefficient)
        guard !overflow else { throw .outOfRange }
        return try ExactDecimal(coefficient: product, scale: Int(scale) + Int(other.scale))
    }

    /// The quotient rounded half to even at `places` digits after the point: the one operation here
    /// that can lose digits.
    public func divided(
        by divisor: ExactDecimal, roundedToPlaces places: Int
    ) throws(DecimalError) -> ExactDecimal {
        guard !divisor.isZero else { throw .divisionByZero }
        let shift = places + Int(divisor.scale) - Int(scale)
        var dividend = coefficient
        var denominator = divisor.coefficient
        if shift >= 0 {
            dividend = try Self.scaled(dividend, byPowerOfTen: shift)
        } else {
            denominator = try Self.scaled(denominator, byPowerOfTen: -shift)
        }
        let (quotient, remainder) = dividend.quotientAndRemainder(dividingBy: denominator)
        let twice = remainder.magnitude.multipliedReportingOverflow(by: 2)
        let size = denominator.magnitude
        let roundsUp =
            twice.overflow || twice.partialValue > size
            || (twice.partialValue == size && quotient % 2 != 0)
        let direction: Int128 = (coefficient < 0) == (divisor.coefficient < 0) ? 1 : -1
        return try ExactDecimal(
            coefficient: roundsUp ? quotient + direction : quotient, scale: places)
    }

    /// `self · factor / divisor`, rounded half to even once, at the end. The product on the way may
    /// be longer than any decimal.
    public func multiplied(
        by factor: ExactDecimal, dividedBy divisor: ExactDecimal, roundedToPlaces places: Int
    ) throws(DecimalError) -> ExactDecimal {
        guard !divisor.isZero else { throw .divisionByZero }
        let shift = places + Int(divisor.scale) - Int(scale) - Int(factor.scale)
        let wide = coefficient.magnitude.multipliedFullWidth(by: factor.coefficient.magnitude)
        var (high, low) = (wide.high, wide.low)
        var size = divisor.coefficient.magnitude
        for _ in 0..<max(0, shift) {
            let carry = low.multipliedFullWidth(by: 10)
            let (tenfold, overflow) = high.multipliedReportingOverflow(by: 10)
            let (sum, carried) = tenfold.addingReportingOverflow(carry.high)
            guard !overflow, !carried else { throw .outOfRange }
            (high, low) = (sum, carry.low)
        }
        for _ in 0..<max(0, -shift) {
            let (tenfold, overflow) = size.multipliedReportingOverflow(by: 10)
            guard !overflow else { throw .outOfRange }
            size = tenfold
        }
        guard high < size else { throw .outOfRange }
        let (quotient, rest) = size.dividingFullWidth((high, low))
        let roundsUp =
            rest > size - rest || (rest == size - rest && !quotient.isMultiple(of: 2))
        guard let rounded = Int128(exactly: quotient), rounded < .max else { throw .outOfRange }
        let magnitude = roundsUp ? rounded + 1 : rounded
        let isNegative = (self.isNegative != factor.isNegative) != divisor.isNegative
        return try ExactDecimal(coefficient: isNegative ? -magnitude : magnitude, scale: places)
    }

    public var negated: ExactDecimal {
        ExactDecimal(unchecked: -coefficient, scale: scale)
    }

    public var magnitude: ExactDecimal { isNegative ? negated : self }

    private init(unchecked coefficient: Int128, scale: UInt8) {
        high = Int64(truncatingIfNeeded: coefficient >> 64)
        low = UInt64(truncatingIfNeeded: coefficient)
        self.scale = scale
    }

    private func coefficient(atScale target: UInt8) throws(DecimalError) -> Int128 {
        try Self.scaled(coefficient, byPowerOfTen: Int(target - scale))
    }

    private static func scaled(
        _ value: Int128, byPowerOfTen exponent: Int
    ) throws(DecimalError) -> Int128 {
        guard exponent <= 37 else { throw .outOfRange }
        let (result, overflow) = value.multipliedReportingOverflow(by: powerOfTen(exponent))
        guard !overflow else { throw .outOfRange }
        return result
    }
}

// MARK: - JSON

extension ExactDecimal: Codable {
    /// Decodes from a JSON **string**: a JSON number has already passed through binary floating
    /// point by the time a decoder shows it.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = ExactDecimal(text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "'\(text)' is not a decimal")
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
