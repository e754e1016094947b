import Glibc
import TestSupport
import Testing

@testable import Ledger

@Suite struct TimestampTests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0), ("1969-12-31T23:59:59.999999Z", -1),
        ("2026-11-21T09:30:00.25Z", 1_795_253_400_250_000),
        ("2026-11-21T17:30:00.25+08:00", 1_795_253_400_250_000),
        ("2026-11-20T23:45:00.250000-09:45", 1_795_253_400_250_000),
        ("2026-11-21t09:30:00.250000999z", 1_795_253_400_250_000),
        ("2026-11-21 09:30:00.25Z", 1_795_253_400_250_000),
        ("2000-02-29T00:00:00Z", 951_782_400_000_000),
        ("1900-01-01T00:00:00Z", -2_208_988_800_000_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
        ("1969-12-31T23:59:59.000001999Z", -999_999),
        ("0000-01-01T00:00:00Z", -62_167_219_200_000_000),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
    ]) func rfc3339IsRead(_ text: String, _ microseconds: Int64) {
        #expect(Timestamp(text)?.microseconds == microseconds)
    }

    @Test(arguments: [
        "", "2026", "2026-11-21", "2026-11-21T09:30:00", "2026-11-21T09:30Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z", "2026-00-01T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00.1234567890Z", "2026-01-01T00:00:00+0800", "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+08:60", "2026-01-01T00:00:00Zx", "26-01-01T00:00:00Z",
        "2026-1-1T00:00:00Z", "2026-01-01T00:00:00,5Z", "２026-01-01T00:00:00Z",
        "9999-12-31T23:59:60Z", "9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+23:59",
        "0000-01-01T00:00:59+00:01",
    ]) func whatIsNoInstantIsRefused(_ text: String) {
        #expect(Timestamp(text) == nil)
    }

    @Test func everyDayFrom1900To2200AgreesWithTheSystemsCalendar() throws {
        let first = try #require(Timestamp("1900-01-01T00:00:00Z"))
        let last = try #require(Timestamp("2200-12-31T00:00:00Z"))
        var random = SeededGenerator(seed: 3)
        var day = first.seconds
        while day <= last.seconds {
            let micros = Int64.random(in: 0..<86_400_000_000, using: &random)
            let time = Timestamp(microseconds: day * 1_000_000 + micros)
            var seconds = time_t(time.seconds)
            var parts = tm()
            gmtime_r(&seconds, &parts)
            let text = time.description
            let wanted = [
                parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                parts.tm_min, parts.tm_sec,
            ]
            let found = text.dropLast().split(whereSeparator: { "-T:.".contains($0) }).prefix(6)
                .compactMap { Int32($0) }
            #expect(found == wanted, "\(text)")
            #expect(Timestamp(text) == time)
            day += 86_400
        }
    }

    @Test func theFirstAndLastInstantsCanBePrinted() {
        #expect(Timestamp(microseconds: .max).description == "294247-01-10T04:00:54.775807Z")
        #expect(!Timestamp(microseconds: .min).description.isEmpty)
    }

    /// RFC 3339 has years of four digits only, and a store must read back what it wrote.
    @Test func everyInstantIsReadBackFromItsDescription() {
        var random = SeededGenerator(seed: 9)
        // 0000-01-01 and 10000-01-01.
        let edges: [Int64] = [-62_167_219_200_000_000, 253_402_300_800_000_000]
        let times =
            [.min, .max, .min + 1, 0, -1] + edges + edges.map { $0 - 1 }
            + (0..<2_000).map { _ in Int64.random(in: .min ... .max, using: &random) }
        for time in times.map(Timestamp.init(microseconds:)) {
            #expect(Timestamp(description: time.description) == time)
            #expect(Value(written: time.description, as: .timestamp) == .timestamp(time))
        }
        for text in [
            "294247-01-10T04:00:54.775808Z", "999999-01-01T00:00:00Z", "002026-01-01T00:00:00Z",
            "+2026-01-01T00:00:00Z", "-0000-01-01T00:00:00Z", "10000-01-01T00:00:00+01:00",
            "10000-01-01T00:00:00.10Z", "-T", "", "1000000-01-01T00:00:00Z",
        ] {
            #expect(Timestamp(description: text) == nil, "\(text)")
        }
        #expect(Value(plainText: "10000-01-01T00:00:00Z", as: .timestamp) == nil)
    }

    @Test func secondsAreCutDown() {
        #expect(Timestamp(microseconds: -1).seconds == -1)
        #expect(Timestamp(microseconds: 1_999_999).seconds == 1)
        #expect(Timestamp(microseconds: 5).advanced(bySeconds: -2).microseconds == -1_999_995)
    }

    /// Written digit by digit, and held against one that is put together from texts.
    @Test func theDigitsAreThoseOfTheCalendar() {
        var random = SeededGenerator(seed: 5)
        for round in 0..<20_000 {
            let limit: Int64 = round % 2 == 0 ? 4_000_000_000_000_000 : .max / 4
            let time = Timestamp(
                microseconds: .random(in: -limit...limit, using: &random)
                    / (round % 3 == 0 ? 1_000_000 : 1) * (round % 3 == 0 ? 1_000_000 : 1))
            let days = Calendar.floorDivide(time.microseconds, Calendar.microsecondsPerDay)
            let date = Calendar.date(ofDay: days)
            if date.year < 0 { continue }
            let rest = time.microseconds - days * Calendar.microsecondsPerDay
            let seconds = rest / 1_000_000
            var fraction = "." + padded(rest % 1_000_000, 6)
            while fraction.hasSuffix("0") { fraction.removeLast() }
            let text =
                "\(padded(date.year, 4))-\(padded(date.month, 2))-\(padded(date.day, 2))"
                + "T\(padded(seconds / 3_600, 2)):\(padded(seconds / 60 % 60, 2))"
                + ":\(padded(seconds % 60, 2))\(fraction == "." ? "" : fraction)Z"
            #expect(time.description == text)
        }
    }

    private func padded(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    @Test func instantsTooFarApartHaveNoDistance() {
        let (first, last) = (Timestamp(microseconds: .min), Timestamp(microseconds: .max))
        #expect(last.microseconds(since: first) == nil)
        #expect(first.microseconds(since: last) == nil)
        #expect(last.microseconds(since: Timestamp(microseconds: 0)) == .max)
        #expect(first.microseconds(since: first) == 0)
    }
}
