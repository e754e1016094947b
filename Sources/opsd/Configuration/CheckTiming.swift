import StrictYAML

/// The keys that every check has, whether it stands in `health` or among a service's `checks`. Nil
/// where the file says nothing.
struct CheckTiming {
    var period: Duration?
    var timeout: Duration?
    var threshold: Int?
    var successThreshold: Int?
    var degradedFrom: Duration?

    /// `timeoutDefault` is what holds where the file names no timeout.
    static func read(_ item: inout YAMLMapping, timeoutDefault: Duration) -> CheckTiming {
        var timing = CheckTiming()
        timing.period = item.optional("period")?.duration(from: .milliseconds(100))
        timing.timeout = item.optional("timeout")?.duration()
        timing.threshold = item.optional("threshold")?.integer(in: 1...1_000)
        timing.successThreshold = item.optional("success_threshold")?.integer(in: 1...1_000)
        let degraded = item.optional("degraded_from")
        timing.degradedFrom = degraded?.duration()
        let timeout = timing.timeout ?? timeoutDefault
        if let degraded, let from = timing.degradedFrom, from >= timeout {
            degraded.refuse(
                "degraded_from is not shorter than the timeout",
                "write less than \(YAMLValue.words(for: timeout))")
        }
        return timing
    }
}

/// The words of a command, the first of which is the program.
enum CommandWords {
    static func read(_ value: YAMLValue) -> [String]? {
        guard let words = value.sequence({ $0.text() }) else { return nil }
        guard let program = words.first, !program.isEmpty else {
            value.refuse("\(value.name) names no program", "write [program, argument]")
            return nil
        }
        return words
    }
}

/// A name and the place that a finding about it speaks of.
struct PlacedReference {
    /// As read, with `${…}` put in.
    let name: String
    let place: Place
    /// As written, for messages.
    let shown: String

    static func list(_ value: YAMLValue?) -> [PlacedReference] {
        value?.sequence { item in one(item) } ?? []
    }

    static func one(_ value: YAMLValue?) -> PlacedReference? {
        guard let value, let name = value.nonEmptyText() else { return nil }
        return PlacedReference(name: name, place: value.place, shown: value.shown)
    }
}
