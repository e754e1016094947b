/// A place in a document with the means to read it. Every reader either returns a value or records
/// a finding and returns nil, so that the caller can go on with a default and find the next mistake.
public struct YAMLValue {
    let node: YAMLNode
    /// What a message calls this value: its key, or `item 3 of checks`.
    public let name: String
    let findings: Findings
    let expansion: Expansion
    /// Set while it is recorded what a reader accepts, instead of reading.
    var shape: YAMLShape?

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
        if let shape {
            let item = YAMLShape()
            shape.kinds.append(.list(item))
            _ = read(part(.placeholder, "item 1 of \(name)", item))
            return nil
        }
        guard case .sequence(let nodes) = node.content else {
            refuse("\(name) is \(node.kind), not a list", "write [first, second]")
            return nil
        }
        return nodes.enumerated().compactMap { index, item in
            read(part(item, "item \(index + 1) of \(name)"))
        }
    }

    /// Reads a mapping of known keys: `read` asks for each, and a key that it did not ask for is an
    /// error. So no key is ever taken in silence.
    public func mapping<Result>(_ read: (inout YAMLMapping) -> Result?) -> Result? {
        if let shape {
            shape.kinds.append(.mapping)
            var mapping = YAMLMapping(value: self, entries: [])
            return read(&mapping)
        }
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
        if let shape {
            let item = YAMLShape()
            shape.kinds.append(.names(item))
            _ = read("NAME", place, part(.placeholder, "NAME", item))
            return nil
        }
        return entries()?.compactMap { entry in
            read(entry.key, entry.place, part(entry.value, entry.key))
        }
    }

    /// A mapping as `names` reads it, or a list where the names alone say enough.
    public func names<Item>(
        orItems readItem: (YAMLValue) -> Item?,
        _ read: (_ name: String, _ place: Place, _ value: YAMLValue) -> Item?
    ) -> [Item]? {
        if shape != nil { _ = sequence(readItem) }
        return shape != nil || isMapping ? names(read) : sequence(readItem)
    }

    func part(_ node: YAMLNode, _ name: String, _ shape: YAMLShape? = nil) -> YAMLValue {
        YAMLValue(node: node, name: name, findings: findings, expansion: expansion, shape: shape)
    }

    private func entries() -> [YAMLNode.Entry]? {
        guard case .mapping(let entries) = node.content else {
            refuse("\(name) is \(node.kind), not a mapping", "write 'key: value' under it")
            return nil
        }
        return entries
    }
}
