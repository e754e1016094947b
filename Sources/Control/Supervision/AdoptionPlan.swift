/// What becomes of the processes that an earlier supervisor left running. A pure decision.
///
/// A service may itself start a process in a session of its own, which inherits its variables. Such a
/// helper is never taken for the service: it stays as long as its service lives, and is ended when
/// that is gone.
struct AdoptionPlan: Equatable {
    struct Ending: Equatable {
        let process: FoundProcess
        let reason: String
    }

    /// What the earlier supervisor wrote down of a service in this run of the machine.
    struct Recorded: Equatable {
        /// The process that it watched; nil when it had none at that moment.
        var identity: ProcessIdentity?
        /// Of the last start, or of the one that was under way.
        var instance: String?
        /// When the last process that it watched began.
        var startTicks: UInt64?
        /// A start was under way, of which the process is not written down yet.
        var isStarting = false
    }

    var adopted: [ServiceName: FoundProcess] = [:]
    var ended: [Ending] = []
    /// Recorded as running, and gone.
    var lost: [ServiceName: Int32] = [:]

    /// - Parameter answering: the process that answers at a service's socket.
    init(
        found: [FoundProcess], declared: [ServiceName], answering: [ServiceName: Int32],
        recorded: [ServiceName: Recorded]
    ) {
        for (name, all) in Dictionary(grouping: found, by: \.service) {
            var candidates: [FoundProcess] = []
            for group in Self.instances(all, recorded[name]) {
                guard let leader = Self.leader(of: group, answering[name], recorded[name]) else {
                    ended += group.map {
                        Ending(
                            process: $0, reason: "the process of '\(name)' that started it is gone")
                    }
                    continue
                }
                candidates.append(leader)
            }
            settle(name, candidates, declared, answering[name], recorded[name]?.identity)
        }
        for name in declared where adopted[name] == nil {
            if let gone = recorded[name]?.identity { lost[name] = gone.pid }
        }
    }

    private mutating func settle(
        _ name: ServiceName, _ candidates: [FoundProcess], _ declared: [ServiceName],
        _ answering: Int32?, _ recorded: ProcessIdentity?
    ) {
        guard declared.contains(name) else {
            ended += candidates.map {
                Ending(process: $0, reason: "'\(name)' is no longer configured")
            }
            return
        }
        // The one that answers, else the one that was written down, else the oldest.
        let chosen =
            candidates.first { $0.identity.pid == answering }
            ?? candidates.first { $0.identity == recorded } ?? candidates.first
        guard let chosen else { return }
        adopted[name] = chosen
        ended += candidates.filter { $0 != chosen }.map {
            Ending(process: $0, reason: "process \(chosen.identity.pid) does the same")
        }
    }

    /// The processes of each start, oldest first; one that shows no instance is by itself.
    private static func instances(
        _ found: [FoundProcess], _ recorded: Recorded?
    ) -> [[FoundProcess]] {
        // The recorded one may have overwritten its environment; what was written down tells its start.
        func instance(_ process: FoundProcess) -> String? {
            process.instance
                ?? (process.identity == recorded?.identity ? recorded?.instance : nil)
        }
        var groups: [[FoundProcess]] = []
        for process in found.sorted(by: { age($0) < age($1) }) {
            let index = groups.firstIndex {
                instance($0[0]) != nil && instance($0[0]) == instance(process)
            }
            if let index { groups[index].append(process) } else { groups.append([process]) }
        }
        return groups
    }

    /// Which of one start's processes is the service; nil when that one is gone.
    private static func leader(
        of group: [FoundProcess], _ answering: Int32?, _ recorded: Recorded?
    ) -> FoundProcess? {
        if let answering, let process = group.first(where: { $0.identity.pid == answering }) {
            return process
        }
        guard let recorded, let oldest = group.first else { return group.first }
        if let process = group.first(where: { $0.identity == recorded.identity }) {
            return process
        }
        if let instance = oldest.instance, instance == recorded.instance {
            // The supervisor died before it could write down which process this start brought.
            return recorded.isStarting && recorded.identity == nil ? oldest : nil
        }
        // An earlier start than the one that was written down last: its process was seen to end.
        if let ticks = recorded.startTicks, oldest.identity.startTicks < ticks { return nil }
        // A later start, of which nothing could be written down.
        return oldest
    }

    private static func age(_ process: FoundProcess) -> (UInt64, Int32) {
        (process.identity.startTicks, process.identity.pid)
    }
}
