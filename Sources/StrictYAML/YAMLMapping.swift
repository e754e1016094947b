/// The keys of one mapping while it is being read.
public struct YAMLMapping {
    private let value: YAMLValue
    private let entries: [String: YAMLNode.Entry]
    private let order: [YAMLNode.Entry]
    private var asked: [String] = []

    init(value: YAMLValue, entries: [YAMLNode.Entry]) {
        self.value = value
        order = entries
        self.entries = Dictionary(
            entries.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
    }

    public var place: Place { value.place }
    /// Records an error about the mapping as a whole.
    public func refuse(_ problem: String, _ remedy: String) { value.refuse(problem, remedy) }

    /// The value of a key that may be absent. A key with nothing after it is an error.
    public mutating func optional(_ key: String) -> YAMLValue? {
        find(key, isRequired: false)
    }

    /// The value of a key that must be there.
    public mutating func required(_ key: String) -> YAMLValue? {
        let found = find(key, isRequired: true)
        if value.shape == nil, entries[key] == nil {
            value.refuse("\(value.name) lacks \(key)", "add '\(key): …'")
        }
        return found
    }

    private mutating func find(_ key: String, isRequired: Bool) -> YAMLValue? {
        if let shape = value.shape {
            return value.part(.placeholder, key, shape.key(key, isRequired: isRequired))
        }
        asked.append(key)
        guard let entry = entries[key] else { return nil }
        guard !entry.value.isEmpty else {
            value.findings.error(entry.place, "\(key) is empty", "write a value, or remove the key")
            return nil
        }
        return value.part(entry.value, key)
    }

    public func contains(_ key: String) -> Bool { value.shape != nil || entries[key] != nil }

    /// Where a key is written, nil when it is absent.
    public func place(ofKey key: String) -> Place? { entries[key]?.place }

    /// Those of the keys that are written, where exactly one of them should be. What to say of none
    /// or several is the caller's.
    public func present(ofAlternatives keys: [String]) -> [String] {
        if let shape = value.shape {
            shape.alternatives.append(keys)
            return Array(keys.prefix(1))
        }
        return keys.filter { entries[$0] != nil }
    }

    /// Refuses a known key for a reason of the caller's.
    public mutating func refuse(key: String, _ problem: String, _ remedy: String) {
        guard let entry = entries[key], !asked.contains(key) else { return }
        asked.append(key)
        value.findings.error(entry.place, problem, remedy)
    }

    /// Guessing what was meant compares with every key, so it is done for the first few only.
    private static let guessesMax = 50

    func refuseUnknownKeys() {
        let known = Set(asked)
        let candidates = asked.filter { entries[$0] == nil } + presentAsked
        var guesses = 0
        for entry in order where !known.contains(entry.key) {
            guesses += 1
            let remedy =
                guesses <= Self.guessesMax
                ? NearestName.remedy(for: entry.key, in: candidates, noun: "keys here")
                : "remove it"
            value.findings.error(
                entry.place, "unknown key '\(Quoted.short(entry.key))' in \(value.name)", remedy)
        }
    }

    /// Keys already written come last: an unknown one more likely stands for a key still missing.
    private var presentAsked: [String] { asked.filter { entries[$0] != nil } }
}
