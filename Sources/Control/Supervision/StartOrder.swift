/// The order in which services start, and which of them each waits for. Stable: services that
/// nothing orders keep the order in which they were declared.
public struct StartOrder: Sendable, Equatable {
    /// Every service once, each behind all that it waits for.
    public let names: [ServiceName]
    private let predecessors: [ServiceName: [ServiceName]]

    public init(_ services: [ServiceSpecification]) throws(StartOrderError) {
        let declared = services.map(\.name)
        for (index, name) in declared.enumerated() where declared[..<index].contains(name) {
            throw .duplicate(name)
        }
        var predecessors: [ServiceName: [ServiceName]] = [:]
        func add(_ earlier: ServiceName, before later: ServiceName) {
            if predecessors[later, default: []].contains(earlier) { return }
            predecessors[later, default: []].append(earlier)
        }
        for service in services {
            for name in service.after + service.before where !declared.contains(name) {
                throw .unknown(name, namedBy: service.name)
            }
            for name in service.after { add(name, before: service.name) }
            for name in service.before { add(service.name, before: name) }
        }
        names = try Self.sorted(declared, predecessors)
        self.predecessors = predecessors
    }

    /// The services that must be ready before this one starts.
    public func predecessors(of name: ServiceName) -> [ServiceName] {
        predecessors[name] ?? []
    }

    private static func sorted(
        _ declared: [ServiceName], _ predecessors: [ServiceName: [ServiceName]]
    ) throws(StartOrderError) -> [ServiceName] {
        var remaining = declared
        var placed: [ServiceName] = []
        while !remaining.isEmpty {
            let next = remaining.firstIndex { name in
                (predecessors[name] ?? []).allSatisfy(placed.contains)
            }
            guard let next else { throw .cycle(cycle(in: remaining, predecessors)) }
            placed.append(remaining.remove(at: next))
        }
        return placed
    }

    /// Each of the remaining services waits for another of them, so walking from one to what it
    /// waits for must come back to a service already seen.
    private static func cycle(
        in remaining: [ServiceName], _ predecessors: [ServiceName: [ServiceName]]
    ) -> [ServiceName] {
        var path: [ServiceName] = []
        var next = remaining.first
        while let name = next {
            if let start = path.firstIndex(of: name) {
                return Array((path[start...] + [name]).reversed())
            }
            path.append(name)
            next = predecessors[name]?.first(where: remaining.contains)
        }
        return path
    }
}

/// Why services cannot be put in an order. The configuration has to change; a retry does not help.
public enum StartOrderError: Error, Equatable, CustomStringConvertible {
    case duplicate(ServiceName)
    case unknown(ServiceName, namedBy: ServiceName)
    /// In starting order; the first name stands at the end again.
    case cycle([ServiceName])

    public var description: String {
        switch self {
        case .duplicate(let name):
            "service '\(name)' is declared twice: give one of them another name"
        case .unknown(let name, let referrer):
            "service '\(referrer)' names '\(name)' in after or before, which is no service"
        case .cycle(let names):
            "services wait for each other: \(names.joined(separator: " → ")): "
                + "remove one of these after or before"
        }
    }
}
