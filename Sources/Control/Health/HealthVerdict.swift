// Which of the things that are not well are causes, and which only follow from another one.

/// One thing that can be well or not: a check or a service.
public struct HealthNode: Sendable, Equatable {
    public let name: String
    public let status: HealthStatus
    /// Names of other nodes. One that is not there is passed over.
    public let dependsOn: [String]

    public init(name: String, status: HealthStatus, dependsOn: [String] = []) {
        self.name = name
        self.status = status
        self.dependsOn = dependsOn
    }
}

/// One cause is one finding: what is not well because something that it depends on is not well
/// either is shown as a consequence, and is no finding of its own.
///
/// A cause must be at least as bad as what it explains (degraded, then unknown, then unhealthy): a
/// slow database does not explain a service that is down.
public struct HealthVerdict: Sendable, Equatable {
    /// Names of nodes that are not well and that nothing explains, in the given order.
    public let causes: [String]
    /// For each other node that is not well, the causes that explain it, sorted.
    public let consequences: [String: [String]]

    public init(_ nodes: [HealthNode]) {
        let byName = Dictionary(
            nodes.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var causes: [String] = []
        var consequences: [String: [String]] = [:]
        for node in nodes where node.status != .healthy {
            let roots = Self.roots(of: node, byName)
            if roots.isEmpty {
                causes.append(node.name)
            } else {
                consequences[node.name] = roots.sorted()
            }
        }
        self.causes = causes
        self.consequences = consequences
    }

    /// The farthest nodes that can be reached over nodes which explain the one before. Nodes that
    /// depend on each other in a ring have no farthest one: they explain nothing, so each of them
    /// stays a cause and none is hidden.
    private static func roots(of node: HealthNode, _ nodes: [String: HealthNode]) -> Set<String> {
        var roots: Set<String> = []
        var seen: Set<String> = [node.name]
        var pending = explanations(of: node, nodes)
        while let next = pending.popLast() {
            guard seen.insert(next.name).inserted else { continue }
            let further = explanations(of: next, nodes)
            if further.isEmpty { roots.insert(next.name) }
            pending += further
        }
        return roots
    }

    private static func explanations(
        of node: HealthNode, _ nodes: [String: HealthNode]
    ) -> [HealthNode] {
        node.dependsOn.compactMap { nodes[$0] }
            .filter { severity($0.status) >= severity(node.status) && $0.status != .healthy }
    }

    private static func severity(_ status: HealthStatus) -> Int {
        switch status {
        case .healthy: 0
        case .degraded: 1
        case .unknown: 2
        case .unhealthy: 3
        }
    }
}
