import Ledger

/// What a symbol did before the market began: made of the seed and the clock alone, so that the same
/// minute has the same bar after each start, and any minute can be asked for by itself.
///
/// The price is the start price and a sum of waves of several lengths, each of them drawn between
/// random points: a tenth more or less at most. It begins `days` before the market does.
struct PriceHistory: Sendable {
    static let days: Int64 = 90

    /// Whole cents.
    struct Minute: Equatable {
        var open: Int64
        var high: Int64
        var low: Int64
        var close: Int64
        var volume: Int

        mutating func append(_ later: Minute) {
            high = max(high, later.high)
            low = min(low, later.low)
            close = later.close
            volume += later.volume
        }
    }

    private struct Wave: Sendable {
        let number: UInt64
        /// In minutes, from one random point to the next.
        let length: Int64
        /// In millionths of the price.
        let height: Int64
        /// The points that the present stretch lies between.
        var stretch: Int64?
        var left: Int64 = 0
        var right: Int64 = 0
    }

    private static let shapes: [(length: Int64, height: Int64)] = [
        (20_160, 60_000), (2_880, 25_000), (480, 10_000), (60, 3_000), (12, 1_000), (3, 400),
        (1, 200),
    ]

    private let cents: Int64
    private let key: UInt64
    private var waves: [Wave]
    private var last: (minute: Int64, close: Int64)?

    init(symbol: String, startCents: Int, seed: UInt64) {
        cents = Int64(startCents)
        // FNV-1a tells the symbols apart.
        key = symbol.utf8.reduce(0xCBF2_9CE4_8422_2325 ^ seed) { hash, byte in
            (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
        }
        waves = Self.shapes.enumerated().map { number, shape in
            Wave(number: UInt64(number), length: shape.length, height: shape.height)
        }
    }

    /// One minute. Those in a row are quicker.
    mutating func bar(_ minute: Int64) -> Minute {
        let open: Int64
        if let last, last.minute == minute - 1 {
            open = last.close
        } else {
            open = price(minute - 1)
        }
        let close = price(minute)
        last = (minute, close)
        let random = drawn(99, minute)
        let reach = UInt64(max(1, cents / 5_000)) + 1
        return Minute(
            open: open, high: max(open, close) + Int64(random % reach),
            low: max(1, min(open, close) - Int64((random >> 16) % reach)), close: close,
            volume: Int((random >> 32) % 5_000) + 1)
    }

    /// At the end of a minute.
    private mutating func price(_ minute: Int64) -> Int64 {
        var sum: Int64 = 0
        for index in waves.indices { sum += height(of: index, at: minute) }
        return max(1, cents + cents * sum / 1_000_000)
    }

    private mutating func height(of index: Int, at minute: Int64) -> Int64 {
        let wave = waves[index]
        let rest = (minute % wave.length + wave.length) % wave.length
        let stretch = (minute - rest) / wave.length
        if wave.stretch != stretch {
            waves[index].left =
                wave.stretch == stretch - 1 ? wave.right : point(of: wave, stretch)
            waves[index].right = point(of: wave, stretch + 1)
            waves[index].stretch = stretch
        }
        return (waves[index].left * (wave.length - rest) + waves[index].right * rest) / wave.length
    }

    private func point(of wave: Wave, _ place: Int64) -> Int64 {
        Int64(drawn(wave.number, place) % UInt64(2 * wave.height + 1)) - wave.height
    }

    private func drawn(_ number: UInt64, _ place: Int64) -> UInt64 {
        var random = SplitMix64(
            seed: key ^ (number &* 0x9E37_79B9_7F4A_7C15) ^ UInt64(bitPattern: place))
        return random.next()
    }
}
