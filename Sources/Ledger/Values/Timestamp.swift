#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// An instant: whole microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
public struct Timestamp: Hashable, Comparable, Sendable {
    public let microseconds: Int64

    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.microseconds < right.microseconds
    }

    /// The wall clock of this machine.
    public static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(
            microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }

    public func advanced(bySeconds seconds: Int64) -> Timestamp {
        Timestamp(microseconds: microseconds + seconds * 1_000_000)
    }

    /// Nil when the two are further apart than there are numbers: a store may hold any instant.
    public func microseconds(since earlier: Timestamp) -> Int64? {
        let (age, isTooMuch) = microseconds.subtractingReportingOverflow(earlier.microseconds)
        return isTooMuch ? nil : age
    }

    /// Seconds since the epoch, cut down to whole ones.
    public var seconds: Int64 { Calendar.floorDivide(microseconds, 1_000_000) }
}

// MARK: - RFC 3339

extension Timestamp: LosslessStringConvertible, CustomStringConvertible {
    /// RFC 3339 in UTC, with as many digits of the second as are not zero: `2026-11-21T09:30:00Z`,
    /// `2026-11-21T09:30:00.25Z`.
    public var description: String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(28)
        append(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends `description`.
    public func append(to bytes: inout [UInt8]) {
        let days = Calendar.floorDivide(microseconds, Calendar.microsecondsPerDay)
        // Not `microseconds - days * …`, which overflows for the first day that there is.
        var rest = microseconds % Calendar.microsecondsPerDay
        if rest < 0 { rest += Calendar.microsecondsPerDay }
        let (year, month, day) = Calendar.date(ofDay: days)
        let seconds = rest / 1_000_000
        Self.append(year, to: 4, &bytes)
        Self.append("-", month, &bytes)
        Self.append("-", day, &bytes)
        Self.append("T", seconds / 3_600, &bytes)
        Self.append(":", seconds / 60 % 60, &bytes)
        Self.append(":", seconds % 60, &bytes)
        let fraction = rest % 1_000_000
        if fraction != 0 {
            bytes.append(UInt8(ascii: "."))
            Self.append(fraction, to: 6, &bytes)
            while bytes.last == UInt8(ascii: "0") { bytes.removeLast() }
        }
        bytes.append(UInt8(ascii: "Z"))
    }

    /// Reads RFC 3339 with any offset and up to nine digits of the second; what is finer than a
    /// microsecond is cut off. Nil for anything else, for a date that no calendar has, and for what is not
    /// within the years 0000 to 9999 in UTC: written in UTC, nobody could read it back.
    public init?(_ text: some StringProtocol) {
        var scanner = DigitScanner(text.utf8)
        guard let year = scanner.digits(4), let time = Timestamp(year: year, &scanner),
            Calendar.writableSeconds.contains(time.seconds)
        else { return nil }
        self = time
    }

    /// Reads what `description` writes, and nothing else: also years before 0000 and after 9999, which
    /// RFC 3339 does not have.
    public init?(description text: some StringProtocol) {
        var scanner = DigitScanner(text.utf8)
        guard let year = scanner.year(), let time = Timestamp(year: year, &scanner),
            time.description.utf8.elementsEqual(text.utf8)
        else { return nil }
        self = time
    }

    private init?(year: Int64, _ scanner: inout DigitScanner) {
        guard
            scanner.skip("-"),
            let month = scanner.digits(2), scanner.skip("-"),
            let day = scanner.digits(2),
            scanner.skip("T") || scanner.skip("t") || scanner.skip(" "),
            let hour = scanner.digits(2), scanner.skip(":"),
            let minute = scanner.digits(2), scanner.skip(":"),
            let second = scanner.digits(2),
            let days = Calendar.day(year: year, month: month, day: day),
            hour < 24, minute < 60, second < 61
        else { return nil }
        var fraction: Int64 = 0
        if scanner.skip(".") {
            guard let read = scanner.fraction() else { return nil }
            fraction = read
        }
        guard let offset = scanner.offsetMinutes(), scanner.isAtEnd else { return nil }
        let minutes = hour * 60 + minute - offset
        let seconds = days * 86_400 + minutes * 60 + second
        // The seconds of the first and the last instant that there are have more microseconds than those.
        guard let microseconds = Int64(exactly: Int128(seconds) * 1_000_000 + Int128(fraction))
        else { return nil }
        self.init(microseconds: microseconds)
    }

    /// A sign and two digits.
    private static func append(
        _ sign: Unicode.Scalar, _ number: Int64, _ bytes: inout [UInt8]
    ) {
        bytes.append(UInt8(ascii: sign))
        bytes.append(UInt8(truncatingIfNeeded: 48 + number / 10))
        bytes.append(UInt8(truncatingIfNeeded: 48 + number % 10))
    }

    private static func append(_ number: Int64, to width: Int, _ bytes: inout [UInt8]) {
        // A year before the first one.
        guard number >= 0 else { return bytes.appendDigits(number) }
        bytes.appendDigits(number.magnitude, paddedTo: width)
    }
}

/// The proleptic Gregorian calendar, by counting days.
enum Calendar {
    static let microsecondsPerDay: Int64 = 86_400_000_000
    /// From 0000-01-01T00:00:00Z to 9999-12-31T23:59:59Z: RFC 3339 has four digits for the year.
    static let writableSeconds: ClosedRange<Int64> = -62_167_219_200...253_402_300_799

    static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
        let quotient = value / divisor
        return value % divisor < 0 ? quotient - 1 : quotient
    }

    /// Days since 1970-01-01; nil when the month has no such day.
    static func day(year: Int64, month: Int64, day: Int64) -> Int64? {
        guard (1...12).contains(month), day >= 1, day <= length(ofMonth: month, year: year) else {
            return nil
        }
        // Years that begin in March put the leap day at the end, where it disturbs nothing.
        let shifted = month <= 2 ? year - 1 : year
        let era = floorDivide(shifted, 400)
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    static func date(ofDay days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = floorDivide(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, day)
    }

    private static func length(ofMonth month: Int64, year: Int64) -> Int64 {
        switch month {
        case 2: (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

/// Reads fixed-width digits off a run of UTF-8.
private struct DigitScanner {
    private var rest: ArraySlice<UInt8>

    init(_ utf8: some Sequence<UInt8>) {
        rest = ArraySlice(utf8)
    }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func digits(_ count: Int) -> Int64? {
        guard rest.count >= count else { return nil }
        var value: Int64 = 0
        for byte in rest.prefix(count) {
            guard (48...57).contains(byte) else { return nil }
            value = value * 10 + Int64(byte - 48)
        }
        rest = rest.dropFirst(count)
        return value
    }

    /// Up to six digits, more than any instant's year has, and a sign before them.
    mutating func year() -> Int64? {
        let sign: Int64 = skip("-") ? -1 : 1
        let count = rest.prefix(7).prefix { (48...57).contains($0) }.count
        return (1...6).contains(count) ? digits(count).map { $0 * sign } : nil
    }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest = rest.dropFirst()
        return true
    }

    /// One to nine digits, as microseconds.
    mutating func fraction() -> Int64? {
        var value: Int64 = 0
        var count = 0
        while count < 9, let digit = digits(1) {
            if count < 6 { value = value * 10 + digit }
            count += 1
        }
        guard count > 0 else { return nil }
        for _ in count..<max(count, 6) { value *= 10 }
        return value
    }

    mutating func offsetMinutes() -> Int64? {
        if skip("Z") || skip("z") { return 0 }
        let sign: Int64
        if skip("+") {
            sign = 1
        } else if skip("-") {
            sign = -1
        } else {
            return nil
        }
        guard let hours = digits(2), skip(":"), let minutes = digits(2), hours < 24, minutes < 60
        else { return nil }
        return sign * (hours * 60 + minutes)
    }
}
