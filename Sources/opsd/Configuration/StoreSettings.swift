import Ledger

/// What keeps a copy of the rows.
enum StoreKind: String, Sendable, CaseIterable {
    case files, sqlite, redis, postgres

    /// Whether it is a server, found by a URL; otherwise it lies at a path.
    var isServer: Bool { self == .redis || self == .postgres }
}

/// One entry of `stores`.
struct StoreSettings: Sendable, Equatable {
    var name: String
    var kind: StoreKind
    /// Of files and sqlite: absolute.
    var path: String?
    /// Of redis and postgres. Secret, because it may hold a password; `StoreURL` shows it without.
    var url: Secret?
    /// Of redis and postgres.
    var connections = ConnectionSettings()
    /// How long a connection and an answer may take. Of redis and postgres.
    var timeout = Duration.seconds(5)
}

/// How many connections a pool keeps, and how many it opens at most.
struct ConnectionSettings: Sendable, Equatable {
    var min = 10
    var max = 50

    /// What holds where the file says nothing.
    static func usual(for kind: StoreKind) -> ConnectionSettings {
        kind == .postgres ? ConnectionSettings(min: 2, max: 10) : ConnectionSettings()
    }
}

/// The section `events`: every journal entry as an event of a Redis Stream.
struct EventSettings: Sendable, Equatable {
    /// A store of kind redis.
    var store: String
    var stream = EventSettings.usualStream
    /// About how many events the stream keeps.
    var keep = 100_000

    static let usualStream = "trading_events"
}
