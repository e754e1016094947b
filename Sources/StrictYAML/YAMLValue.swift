/// A place in a document with the means to read it. Every reader either returns a value or records
/// a finding and returns nil, so that the caller can go on with a default and find the next mistake.
public struct YAMLValue {
    let node: YAMLNode
    /// What a message calls this value: its key, or `item 3 of checks`.
    public let name: String
    let findings: Findings
    let expansion: Expansion

    public var place: Place { node.place }
    /// The value as written, cut short for a message. Never what `${…}` stands for.
    public var shown: String {
        if case .scalar(let written, _) = node.content { return Quoted.short(written) }
        return node.kind
    }
    public var isMapping: Bool {
        if case .mapping = node.content { return true }
        return false
    }
    public var isSequence: Bool {
        if case .sequence = node.content { return true }
        return false
    }

    /// Records an error about this value.
    public func refuse(_ problem: String, _ remedy: String) {
        findings.error(place, problem, remedy)
    }

    /// Records that this value is taken, but not as it stands.
    public func warn(_ problem: String, _ remedy: String) {
        findings.warning(place, problem, remedy)
    }

    /// Every item by `read`; what it returns nil for is left out. Nil when this is no list.
    public func sequence<Item>(_ read: (YAMLValue) -> Item?) -> [Item]? {
        guard case .sequence(let nodes) = node.content else {
            refuse("\(name) is \(node.kind), not a list", "write [first, second]")
            return nil
        }
        return nodes.enumerated().compactMap { index, item in
            read(
                YAMLValue(
                    node: item, name: "item \(index + 1) of \(name)", findings: findings,
                    expansion: expansion))
        }
    }

    /// Reads a mapping of known keys: `read` asks for each, and a key that it did not ask for is an
    /// error. So no key is ever taken in silence.
    public func mapping<Result>(_ read: (inout YAMLMapping) -> Result?) -> Result? {
        guard let entries = entries() else { return nil }
        var mapping = YAMLMapping(value: self, entries: entries)
        let result = read(&mapping)
        mapping.refuseUnknownKeys()
        return result
    }

    /// Reads a mapping whose keys are names that the author chooses, in the order written.
    public func names<Item>(
        _ read: (_ name: String, _ place: Place, _ value: YAMLValue) -> Item?
    ) -> [Item]? {
        entries()?.compactMap { entry in
            read(
                entry.key, entry.place,
                YAMLValue(
                    node: entry.value, name: entry.key, findings: findings, expansion: expansion))
        }
    }

    private func entries() -> [YAMLNode.Entry]? {
        guard case .mapping(let entries) = node.content else {
            refuse("\(name) is \(node.kind), not a mapping", "write 'key: value' under it")
            return nil
        }
        return entries
    }
}

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
        asked.append(key)
        guard let entry = entries[key] else { return nil }
        guard !entry.value.isEmpty else {
            value.findings.error(entry.place, "\(key) is empty", "write a value, or remove the key")
            return nil
        }
        return YAMLValue(
            node: entry.value, name: key, findings: value.findings, expansion: value.expansion)
    }

    /// The value of a key that must be there.
    public mutating func required(_ key: String) -> YAMLValue? {
        let found = optional(key)
        if entries[key] == nil {
            value.refuse("\(value.name) lacks \(key)", "add '\(key): …'")
        }
        return found
    }

    public func contains(_ key: String) -> Bool { entries[key] != nil }

    /// Where a key is written, nil when it is absent.
    public func place(ofKey key: String) -> Place? { entries[key]?.place }

    /// Refuses a known key for a reason of the caller's.
    public mutating func refuse(key: String, _ problem: String, _ remedy: String) {
        guard let entry = entries[key], !asked.contains(key) else { return }
        asked.append(key)
        value.findings.error(entry.place, problem, remedy)
    }

    func refuseUnknownKeys() {
        for entry in order where !asked.contains(entry.key) {
            let remedy = NearestName.remedy(
                for: entry.key, in: asked.filter { entries[$0] == nil } + presentAsked,
                noun: "keys here")
            value.findings.error(
                entry.place, "unknown key '\(Quoted.short(entry.key))' in \(value.name)", remedy)
        }
    }

    /// Keys already written come last: an unknown one more likely stands for a key still missing.
    private var presentAsked: [String] { asked.filter { entries[$0] != nil } }
}
