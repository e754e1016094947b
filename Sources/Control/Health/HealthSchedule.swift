/// When a check runs. All checks are asked within the first second, so that a new daemon soon knows
/// how things are; from then on each has a place of its own in its period, by its name, so that fifty
/// checks of one period do not all run at the same moment. The same name has the same place in every
/// run of the daemon.
struct HealthSchedule: Sendable, Equatable {
    private let period: Duration
    /// 0 to 1.
    private let place: Double

    init(name: HealthCheckName, period: Duration) {
        self.period = period
        place = Double(Self.hash(name) >> 11) / Double(UInt64(1) << 53)
    }

    /// How long to wait before the run of that number, counted from 0; from the start of the run
    /// before it.
    func delay(beforeRun number: Int) -> Duration {
        switch number {
        case 0: min(period, .seconds(1)) * place
        case 1: max(period * place, period * 0.1)
        default: period
        }
    }

    /// FNV-1a with a last mixing step: Swift's own hash changes with every start.
    private static func hash(_ name: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        hash = (hash ^ (hash >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        return hash ^ (hash >> 33)
    }
}
