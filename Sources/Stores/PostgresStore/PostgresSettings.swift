internal import CPostgres
public import Connections
public import Ledger

/// Where a PostgreSQL database is, and how long it may take to answer.
public struct PostgresSettings: Sendable {
    /// What libpq is told, by its own keywords. The password is among it.
    private let parameters: [String: Secret]
    /// `postgres://user@host:port/database`, for errors and logs: no password.
    public let name: String
    /// How long a connection may take to open, and then how long the server may be silent.
    public var timeout: Duration
    public var connections: PoolLimits
    /// Whether the tables of the trading desk are made by the migrations. Without it opsd keeps to its
    /// own schema, and each dataset's table is made of its schema or is there already.
    public var makesTradingTables = true
    /// Settings of each session besides, as `name=value`.
    var session: [String] = []

    /// - Parameters:
    ///   - url: `postgres://user:password@host:port/database?sslmode=require`; a Unix socket by
    ///     `postgres://user@/database?host=/run/postgresql`. Secret, because it may hold a password.
    ///   - password: instead of one in the URL.
    public init(
        url: Secret, password: Secret? = nil, timeout: Duration = .seconds(5),
        connections: PoolLimits = PoolLimits(min: 1, max: 10)
    ) throws(PostgresAddressError) {
        guard ["postgres://", "postgresql://"].contains(where: url.reveal().hasPrefix),
            var parameters = Self.parse(url.reveal())
        else { throw PostgresAddressError() }
        if let password { parameters["password"] = password }
        func text(_ keyword: String) -> String? { parameters[keyword]?.reveal() }
        let place = "\(text("host") ?? "localhost"):\(text("port") ?? "5432")"
        name = "postgres://\(text("user") ?? "")@\(place)/\(text("dbname") ?? "")"
        self.parameters = parameters
        self.timeout = timeout
        self.connections = connections
    }

    /// Nil for what libpq cannot read; its own words for why may quote the password.
    private static func parse(_ url: String) -> [String: Secret]? {
        guard let options = PQconninfoParse(url, nil) else { return nil }
        defer { PQconninfoFree(options) }
        var found: [String: Secret] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val {
                found[String(cString: keyword)] = Secret(String(cString: value))
            }
            option += 1
        }
        return found
    }

    /// Every keyword for libpq: what the URL says, and what makes a silent server be noticed.
    func keywords() -> [(String, String)] {
        let milliseconds = timeout.wholeMilliseconds
        // The server gives up before the client does, so that its own word for it arrives.
        let limit = max(milliseconds * 9 / 10, 1)
        let own = [
            "statement_timeout=\(limit)", "lock_timeout=\(limit)",
            // What a stopped client holds locked is let go.
            "idle_in_transaction_session_timeout=\(max(milliseconds * 4, 10_000))",
            // Otherwise a user called opsd would find and make everything in the schema opsd. What the
            // URL says in `options` comes later and wins.
            "search_path=public", "timezone=UTC", "client_min_messages=warning",
            "extra_float_digits=3",
        ]
        let fixed = [
            "client_encoding": "UTF8", "application_name": "opsd", "gssencmode": "disable",
            "keepalives": "1", "keepalives_idle": "5", "keepalives_interval": "2",
            "keepalives_count": "3", "tcp_user_timeout": "\(milliseconds)",
        ]
        var all = fixed.merging(parameters.mapValues { $0.reveal() }) { $1 }
        let options = (own + session).map { "-c \($0)" }.joined(separator: " ")
        all["options"] = [options, all["options"] ?? ""].joined(separator: " ")
        return all.sorted { $0.key < $1.key }
    }
}

/// An address that is none. The text is not repeated: it may hold a password.
public struct PostgresAddressError: Error, CustomStringConvertible {
    public var description: String {
        "the address of a PostgreSQL database is written postgres://user:password@host:port/database"
    }
}

extension Duration {
    var wholeMilliseconds: Int64 {
        components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000
    }
}
