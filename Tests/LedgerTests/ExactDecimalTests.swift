import Foundation
import Ledger
import TestSupport
import Testing

@Suite struct ExactDecimalTests {
    private func decimal(_ text: String) throws -> ExactDecimal {
        try #require(ExactDecimal(text), "\(text)")
    }

    @Test(arguments: [
        ("0", "0"), ("-0", "0"), ("0.000", "0"), ("-12.50", "-12.5"), ("7", "7"), (".5", "0.5"),
        ("+3.10", "3.1"), ("1e3", "1000"), ("1e-3", "0.001"), ("12.5E+1", "125"),
        ("100", "100"), ("1.0e0", "1"), ("0e999", "0"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
        ("-99999999999999999999.999999999999999999", "-99999999999999999999.999999999999999999"),
        ("0.10000000000000000000", "0.1"),
    ]) func aNumberHasOneSpelling(_ text: String, _ canonical: String) throws {
        let number = try decimal(text)
        #expect(number.description == canonical)
        #expect(try decimal(canonical) == number)
    }

    @Test(arguments: [
        "", "-", "+", ".", "-.", "e5", "1e", "1e+", "1e1.5", "1e1000", "--1", "1-", "1..2", "1.2.3",
        " 1", "1 ", "1_000", "1,5", "0x10", "NaN", "inf", "１２", "1\u{0}", "1e-19",
        "0.0000000000000000001", "100000000000000000000000000000000000000", "1e38", "1e400",
    ]) func whatIsNoNumberOrOutOfRangeIsRefused(_ text: String) {
        #expect(ExactDecimal(text) == nil)
    }

    @Test func equalNumbersHashAlike() throws {
        #expect(try decimal("1.50") == decimal("1.5000"))
        #expect(try decimal("1.50").hashValue == decimal("15e-1").hashValue)
        #expect(Set([try decimal("100"), try decimal("1e2"), try decimal("100.0")]).count == 1)
    }

    @Test func orderHoldsWhereScalingWouldOverflow() throws {
        let ascending = [
            "-99999999999999999999999999999999999999", "-1.5", "-1.000000000000000001", "-1",
            "-0.000000000000000001", "0", "0.000000000000000001", "0.9", "1",
            "1.000000000000000001",
            "9", "10", "99999999999999999999.999999999999999999",
            "99999999999999999999999999999999999999",
        ]
        for (index, left) in ascending.enumerated() {
            for (other, right) in ascending.enumerated() {
                #expect((try decimal(left) < decimal(right)) == (index < other), "\(left) \(right)")
            }
        }
    }

    @Test func aResultOutOfRangeThrows() throws {
        let most = try decimal("99999999999999999999999999999999999999")
        let least = try decimal("0.000000000000000001")
        #expect(throws: DecimalError.outOfRange) { try most.adding(ExactDecimal(1)) }
        #expect(throws: DecimalError.outOfRange) { try most.negated.subtracting(ExactDecimal(1)) }
        #expect(throws: DecimalError.outOfRange) { try most.adding(least) }
        #expect(throws: DecimalError.outOfRange) { try most.multiplied(by: ExactDecimal(2)) }
        #expect(throws: DecimalError.outOfRange) { try least.multiplied(by: decimal("0.1")) }
        #expect(throws: DecimalError.divisionByZero) {
            try most.divided(by: .zero, roundedToPlaces: 2)
        }
        #expect(try most.subtracting(most) == .zero)
        #expect(try least.multiplied(by: ExactDecimal(10)).description == "0.00000000000000001")
    }

    @Test(arguments: [
        ("1", "8", 2, "0.12"), ("3", "8", 2, "0.38"), ("-1", "8", 2, "-0.12"),
        ("-3", "8", 2, "-0.38"), ("1", "-8", 2, "-0.12"), ("-3", "-8", 2, "0.38"),
        ("1", "3", 4, "0.3333"), ("2", "3", 4, "0.6667"), ("0.5", "1", 0, "0"),
        ("1.5", "1", 0, "2"),
        ("2.5", "1", 0, "2"), ("-2.5", "1", 0, "-2"), ("-3.5", "1", 0, "-4"), ("0", "-7", 3, "0"),
        ("10", "0.000000000000000003", 0, "3333333333333333333"),
        ("0.000000000000000001", "10", 18, "0"), ("0.000000000000000005", "10", 18, "0"),
        ("0.000000000000000015", "10", 18, "0.000000000000000002"), ("100", "4", 0, "25"),
    ]) func divisionRoundsHalfToEven(
        _ left: String, _ right: String, _ places: Int, _ wanted: String
    ) throws {
        let quotient = try decimal(left).divided(by: decimal(right), roundedToPlaces: places)
        #expect(quotient.description == wanted)
        let viaOne = try decimal(left).multiplied(
            by: ExactDecimal(1), dividedBy: decimal(right), roundedToPlaces: places)
        #expect(viaOne.description == wanted)
    }

    @Test func arithmeticAgreesWithIntegers() throws {
        var random = SeededGenerator(seed: 1)
        for _ in 0..<20_000 {
            let (a, b) = (
                Int128(Int64.random(in: -1_000_000...1_000_000, using: &random)),
                Int128(Int64.random(in: -1_000_000...1_000_000, using: &random))
            )
            let (s, t) = (
                Int.random(in: 0...6, using: &random), Int.random(in: 0...6, using: &random)
            )
            let left = try ExactDecimal(coefficient: a, scale: s)
            let right = try ExactDecimal(coefficient: b, scale: t)
            let (x, y) = (a * power(6 - s), b * power(6 - t))
            #expect(try left.adding(right) == ExactDecimal(coefficient: x + y, scale: 6))
            #expect(try left.subtracting(right) == ExactDecimal(coefficient: x - y, scale: 6))
            #expect(try left.multiplied(by: right) == ExactDecimal(coefficient: x * y, scale: 12))
            #expect((left < right) == (x < y))
            #expect((left == right) == (x == y))
            #expect(ExactDecimal(left.description) == left)
            if y != 0 {
                let wanted = halfEven(x * power(4), y)
                #expect(
                    try left.divided(by: right, roundedToPlaces: 4)
                        == ExactDecimal(coefficient: wanted, scale: 4))
            }
        }
    }

    @Test func aShareOfAProductIsRoundedOnceAndMayPassThroughMoreDigits() throws {
        var random = SeededGenerator(seed: 2)
        for _ in 0..<20_000 {
            let numbers = (0..<3).map { _ in
                Int128(Int64.random(in: -1_000_000_000...1_000_000_000, using: &random))
            }
            let places = Int.random(in: 0...9, using: &random)
            if numbers[2] == 0 { continue }
            let decimals = try numbers.map { try ExactDecimal(coefficient: $0, scale: 5) }
            let share = try decimals[0].multiplied(
                by: decimals[1], dividedBy: decimals[2], roundedToPlaces: places)
            let wanted = halfEven(numbers[0] * numbers[1] * power(places), numbers[2] * power(5))
            #expect(share == (try ExactDecimal(coefficient: wanted, scale: places)))
        }
        // The product has 54 digits and 36 places; no decimal holds it.
        let long = try decimal("123456789.123456789123456789")
        #expect(try long.multiplied(by: long, dividedBy: long, roundedToPlaces: 18) == long)
        #expect(throws: DecimalError.outOfRange) {
            try long.multiplied(by: long, dividedBy: decimal("1e-18"), roundedToPlaces: 18)
        }
        #expect(throws: DecimalError.divisionByZero) {
            try long.multiplied(by: long, dividedBy: .zero, roundedToPlaces: 1)
        }
    }

    /// Written digit by digit, and held against one that is put together from texts.
    @Test func theDigitsAreThoseOfTheCoefficient() throws {
        var random = SeededGenerator(seed: 7)
        for round in 0..<20_000 {
            let size = Int128(1) << Int.random(in: 0...125, using: &random)
            let coefficient =
                round < 40
                ? Int128(round - 20) : Int128.random(in: -size...size, using: &random)
            guard
                let number = try? ExactDecimal(
                    coefficient: coefficient, scale: Int.random(in: 0...18, using: &random))
            else { continue }
            let digits = String(number.coefficient.magnitude)
            let places = Int(number.scale)
            let filled = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
            let text =
                (number.coefficient < 0 ? "-" : "") + filled.dropLast(places)
                + (places == 0 ? "" : "." + filled.suffix(places))
            #expect(number.description == text)
        }
    }

    @Test func jsonCarriesDecimalsAsText() throws {
        let numbers = [try decimal("-12.50"), .zero]
        let data = try JSONEncoder().encode(numbers)
        #expect(String(decoding: data, as: UTF8.self) == #"["-12.5","0"]"#)
        #expect(try JSONDecoder().decode([ExactDecimal].self, from: data) == numbers)
        for refused in ["[1.5]", #"["1.5x"]"#] {
            #expect(throws: DecodingError.self) {
                try JSONDecoder().decode([ExactDecimal].self, from: Data(refused.utf8))
            }
        }
    }

    private func power(_ exponent: Int) -> Int128 {
        (0..<exponent).reduce(Int128(1)) { product, _ in product * 10 }
    }

    /// By distances to both neighbours instead of a doubled remainder.
    private func halfEven(_ dividend: Int128, _ divisor: Int128) -> Int128 {
        let (top, bottom) = divisor < 0 ? (-dividend, -divisor) : (dividend, divisor)
        var floor = top / bottom
        if floor * bottom > top { floor -= 1 }
        let (below, above) = (top - floor * bottom, (floor + 1) * bottom - top)
        if below == above { return floor % 2 == 0 ? floor : floor + 1 }
        return below < above ? floor : floor + 1
    }
}
