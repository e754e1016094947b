/// How far a dataset has come on its way from its old store to its new one.
public enum Stage: String, Sendable, Hashable, CaseIterable {
    /// Only the old store has it.
    case old
    /// Both are written; the old one is read.
    case shadow
    /// Both are written; the new one is read, the old one where the new one fails.
    case read
    /// Both are written; only the new one is read.
    case write
    /// Only the new store has it.
    case full
}

/// Where one dataset's rows go, and where they are read.
public struct Route: Sendable, Hashable {
    public var old: String?
    public var new: String?
    /// Further copies: written and verified, never read.
    public var also: [String]
    public var stage: Stage

    public init(old: String?, new: String?, also: [String] = [], stage: Stage) {
        self.old = old
        self.new = new
        self.also = also
        self.stage = stage
    }

    /// The stores that are written, the new one first.
    public var writes: [String] {
        let pair: [String?] =
            switch stage {
            case .old: [old]
            case .shadow, .read, .write: [new, old]
            case .full: [new]
            }
        return pair.compactMap { $0 } + also
    }

    /// The stores that are read, the preferred one first.
    public var reads: [String] {
        let pair: [String?] =
            switch stage {
            case .old, .shadow: [old]
            case .read: [new, old]
            case .write, .full: [new]
            }
        return pair.compactMap { $0 }
    }
}

/// The routes of all datasets, as a value.
public struct RouteTable: Sendable, Hashable {
    public var routes: [String: Route]

    public init(_ routes: [String: Route] = [:]) {
        self.routes = routes
    }

    public subscript(dataset: String) -> Route? { routes[dataset] }

    /// The datasets that a store is written with.
    public func datasets(of store: String) -> Set<String> {
        Set(routes.filter { $0.value.writes.contains(store) }.keys)
    }
}
