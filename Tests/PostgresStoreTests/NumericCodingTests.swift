import Ledger
import Testing

@testable import PostgresStore

@Suite struct NumericCodingTests {
    private func bytes(_ text: String) throws -> [UInt8] {
        var bytes: [UInt8] = []
        NumericCoding.append(try #require(ExactDecimal(text)), to: &bytes)
        return bytes
    }

    @Test(arguments: [
        "0", "1", "-1", "9999", "10000", "10001", "0.1", "0.0001", "0.00001", "12345.6789",
        "-0.000000000000000001", "99999999999999999999999999999999999999",
        "99999999999999999999.999999999999999999", "-12345678901234567890.000000000000000001",
        "100000000", "18446744073709551616", "0.00010001", "1000000000000000000000000",
    ]) func whatIsEncodedIsDecoded(_ text: String) throws {
        let found = try bytes(text).withUnsafeBytes { NumericCoding.decode($0) }
        #expect(found == ExactDecimal(text))
    }

    /// As the server sends `12345.678`.
    @Test func theFormIsPostgres() throws {
        let wanted: [UInt8] = [
            0, 3, 0, 1, 0, 0, 0, 3, 0, 1, 0x09, 0x29, 0x1A, 0x7C,
        ]
        #expect(try bytes("12345.678") == wanted)
    }

    @Test(
        arguments: [
            [0, 0, 0, 0, 0xC0, 0, 0, 0], [0, 0, 0, 0, 0xD0, 0, 0, 0], [0, 0, 0, 0, 0xF0, 0, 0, 0],
            [0, 1, 0, 0, 0, 0, 0, 0], [0, 0], [],
            // 10^40, and 10^-20.
            [0, 1, 0, 10, 0, 0, 0, 0, 0, 1], [0, 1, 0xFF, 0xFB, 0, 0, 0, 20, 0, 1],
        ] as [[UInt8]]) func whatIsNoDecimalIsNone(_ bytes: [UInt8])
    {
        #expect(bytes.withUnsafeBytes { NumericCoding.decode($0) } == nil)
    }
}
