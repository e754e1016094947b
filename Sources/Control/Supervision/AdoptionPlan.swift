/// What becomes of the processes that an earlier supervisor left running. A pure decision.
struct AdoptionPlan: Equatable {
    struct Ending: Equatable {
        let process: FoundProcess
        let reason: String
    }

    var adopted: [ServiceName: FoundProcess] = [:]
    var ended: [Ending] = []
    /// Recorded as running, and gone.
    var lost: [ServiceName: Int32] = [:]

    /// - Parameters:
    ///   - answering: the process that answers at a service's socket.
    ///   - recorded: what the earlier supervisor wrote down as running.
    init(
        found: [FoundProcess], declared: [ServiceName], answering: [ServiceName: Int32],
        recorded: [ServiceName: ProcessIdentity]
    ) {
        for (name, all) in Dictionary(grouping: found, by: \.service) {
            let candidates = Self.leaders(all)
            guard declared.contains(name) else {
                ended += candidates.map {
                    Ending(process: $0, reason: "no service '\(name)' is configured")
                }
                continue
            }
            guard let chosen = Self.choose(candidates, answering[name], recorded[name]) else {
                continue
            }
            adopted[name] = chosen
            ended += candidates.filter { $0 != chosen }.map {
                Ending(
                    process: $0, reason: "process \(chosen.identity.pid) is the same service")
            }
        }
        for name in declared where adopted[name] == nil {
            if let gone = recorded[name] { lost[name] = gone.pid }
        }
    }

    /// A service may itself start a process in a session of its own, which inherits its variables:
    /// of one start the oldest is the service.
    private static func leaders(_ found: [FoundProcess]) -> [FoundProcess] {
        let sorted = found.sorted { age($0) < age($1) }
        return sorted.enumerated().filter { index, process in
            guard let instance = process.instance else { return true }
            return !sorted[..<index].contains { $0.instance == instance }
        }.map(\.element)
    }

    /// The one that answers, else the one that was written down, else the oldest.
    private static func choose(
        _ candidates: [FoundProcess], _ answering: Int32?, _ recorded: ProcessIdentity?
    ) -> FoundProcess? {
        candidates.first { $0.identity.pid == answering }
            ?? candidates.first { $0.identity == recorded } ?? candidates.first
    }

    private static func age(_ process: FoundProcess) -> (UInt64, Int32) {
        (process.identity.startTicks, process.identity.pid)
    }
}
