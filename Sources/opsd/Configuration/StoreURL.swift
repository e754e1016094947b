import Foundation
import Ledger

/// What the URL of a store says, without what gives access.
///
///     redis://user:password@host:port/db
///     unix:///path/to/socket?db=1
///     redis+sentinel://user:password@host1:port1,host2:port2/master/db
///     postgres://user:password@host:port/database?sslmode=require
///
/// Nothing here repeats a text that it cannot read: it may hold a password.
struct StoreURL: Sendable, Equatable {
    /// With user, host, port and database; passwords are left out.
    let shown: String
    /// The same for two URLs that lead to one database, whoever asks.
    let identity: String

    struct Problem: Error, Equatable {
        let problem: String
        let remedy: String

        init(_ problem: String, _ remedy: String) {
            self.problem = problem
            self.remedy = remedy
        }
    }

    static func schemes(of kind: StoreKind) -> [String] {
        switch kind {
        case .redis: ["redis", "unix", "redis+sentinel"]
        case .postgres: ["postgres", "postgresql"]
        case .files, .sqlite: []
        }
    }

    static func read(_ text: String, of kind: StoreKind) throws(Problem) -> StoreURL {
        let colon = text.firstRange(of: "://")
        let scheme = text[..<(colon?.lowerBound ?? text.startIndex)].lowercased()
        if scheme == "rediss", kind == .redis {
            throw Problem(
                "url begins with rediss://, and this version speaks no TLS to Redis",
                "put stunnel in front and write redis://, or use a Unix socket, "
                    + "as in unix:///run/redis.sock")
        }
        guard let colon, schemes(of: kind).contains(scheme) else {
            throw Problem(
                "url is none of a \(kind.rawValue) store",
                "begin it with "
                    + schemes(of: kind).map { $0 + "://" }.joined(separator: " or "))
        }
        let rest = text[colon.upperBound...]
        return switch scheme {
        case "redis": try redis(rest)
        case "unix": try socket(rest)
        case "redis+sentinel": try sentinel(rest)
        default: try postgres(rest)
        }
    }

    // MARK: Redis

    private static func redis(_ text: Substring) throws(Problem) -> StoreURL {
        var rest = text
        let user = try takeUser(from: &rest, endingAt: "/")
        let parts = rest.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let address = try address(
            parts.first ?? "", port: 6_379, example: "redis://127.0.0.1:6379/0")
        let database = try database(parts.count > 1 ? parts[1] : "")
        return StoreURL(
            shown: "redis://\(user)\(address.shown)/\(database)",
            identity: "redis \(address.identity)/\(database)")
    }

    private static func socket(_ text: Substring) throws(Problem) -> StoreURL {
        var rest = text
        let user = try takeUser(from: &rest, endingAt: nil)
        let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard let path = parts.first?.removingPercentEncoding, path.hasPrefix("/") else {
            throw Problem(
                "url names no socket", "write its whole path, as in unix:///run/redis.sock")
        }
        var number: Substring = ""
        if parts.count > 1, !parts[1].isEmpty {
            guard parts[1].hasPrefix("db="), !parts[1].contains("&") else {
                throw Problem(
                    "url has an option that is not known", "write ?db=NUMBER, or leave it out")
            }
            number = parts[1].dropFirst(3)
        }
        let database = try database(number)
        return StoreURL(
            shown: "unix://\(user)\(path)?db=\(database)",
            identity: "redis \(AbsolutePath.of(path))/\(database)")
    }

    private static func sentinel(_ text: Substring) throws(Problem) -> StoreURL {
        let example = "redis+sentinel://127.0.0.1:26379/mymaster/0"
        var rest = text
        let user = try takeUser(from: &rest, endingAt: "/")
        let parts = rest.split(separator: "/", omittingEmptySubsequences: false)
        guard (2...3).contains(parts.count), !parts[1].isEmpty else {
            throw Problem("url names no master after the Sentinels", "write one, as in \(example)")
        }
        var addresses: [(shown: String, identity: String)] = []
        for part in parts[0].split(separator: ",", omittingEmptySubsequences: false) {
            addresses.append(try address(part, port: 26_379, example: example))
        }
        let database = try database(parts.count > 2 ? parts[2] : "")
        let hosts = addresses.map(\.shown).joined(separator: ",")
        let identity = addresses.map(\.identity).sorted().joined(separator: ",")
        return StoreURL(
            shown: "redis+sentinel://\(user)\(hosts)/\(parts[1])/\(database)",
            identity: "redis \(identity)/\(parts[1])/\(database)")
    }

    /// `user@` without the password; empty where there is none.
    private static func takeUser(
        from rest: inout Substring, endingAt end: Character?
    ) throws(Problem) -> String {
        let stop = end.flatMap { rest.firstIndex(of: $0) } ?? rest.endIndex
        guard let mark = rest[..<stop].lastIndex(of: "@") else {
            guard !rest[stop...].contains("@") else {
                throw Problem("url has an @ after a /", "write a / in the password as %2F")
            }
            return ""
        }
        let parts = rest[..<mark].split(
            separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        rest = rest[rest.index(after: mark)...]
        for part in parts { _ = try decoded(part) }
        guard parts.count == 2, !parts[1].isEmpty else {
            throw Problem(
                "url has an @ and no password before it",
                "write user:password@ or :password@ before the host")
        }
        return parts[0].isEmpty ? "" : "\(parts[0])@"
    }

    private static func database(_ text: Substring) throws(Problem) -> Int {
        if text.isEmpty { return 0 }
        guard let number = Int(text), number >= 0, text == "\(number)" else {
            throw Problem(
                "url ends with what is no number of a database", "write one from 0 up, or none")
        }
        return number
    }

    // MARK: Both

    private static func address(
        _ text: Substring, port: Int, example: String
    ) throws(Problem) -> (shown: String, identity: String) {
        var host = text
        var number = port
        let afterBracket = host.lastIndex(of: "]") ?? host.startIndex
        if let colon = host[afterBracket...].lastIndex(of: ":") {
            let digits = host[host.index(after: colon)...]
            guard let given = Int(digits), (1...65_535).contains(given), digits == "\(given)"
            else {
                throw Problem("url has no port from 1 to 65535", "write one, as in \(example)")
            }
            number = given
            host = host[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard let name = host.removingPercentEncoding, !name.isEmpty else {
            throw Problem("url names no host", "write one, as in \(example)")
        }
        let canonical = ConfigurationChecks.canonical(name)
        return (HostPortText.text(name, number), HostPortText.text(canonical, number))
    }

    private static func decoded(_ text: Substring) throws(Problem) -> String {
        guard let text = text.removingPercentEncoding else {
            throw Problem(
                "url has a % without two hexadecimal digits after it",
                "write a % in user or password as %25")
        }
        return text
    }
}

// MARK: - PostgreSQL

extension StoreURL {
    private static let postgresExample = "postgres://opsd@127.0.0.1:5432/opsd"

    /// As libpq takes it apart: user and password end at the first @.
    private static func postgres(_ text: Substring) throws(Problem) -> StoreURL {
        var rest = text
        let stop = rest.firstIndex { $0 == "/" || $0 == "@" }
        var user = ""
        if let stop, rest[stop] == "@" {
            let parts = rest[..<stop].split(
                separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            for part in parts { _ = try decoded(part) }
            user = String(parts.first ?? "")
            rest = rest[rest.index(after: stop)...]
        }
        let query = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let place = query.first ?? ""
        guard !place.contains("@") else {
            throw Problem(
                "url has an @ too many", "write an @ in the password as %40, and a / as %2F")
        }
        let parts = place.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let options = try options(query.count > 1 ? query[1] : "")
        let path = try decoded(parts.count > 1 ? parts[1] : "")
        let database = options["dbname"] ?? path
        guard !database.isEmpty else {
            throw Problem("url names no database", "write one, as in \(postgresExample)")
        }
        let hosts = try hosts(parts.first ?? "", options)
        let who = options["user"] ?? user
        return StoreURL(
            shown: "postgres://\(who.isEmpty ? "" : who + "@")\(hosts.shown)/\(database)"
                + shown(options),
            identity: "postgres \(hosts.identity)/\(database)")
    }

    private static func hosts(
        _ text: Substring, _ options: [String: String]
    ) throws(Problem) -> (shown: String, identity: String) {
        if text.isEmpty {
            let port = options["port"].map { ":" + $0 } ?? ""
            let host = options["host"] ?? options["hostaddr"] ?? ""
            let canonical = ConfigurationChecks.canonical(host)
            return (host + port, canonical + (port.isEmpty ? ":5432" : port))
        }
        var addresses: [(shown: String, identity: String)] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            addresses.append(try address(part, port: 5_432, example: postgresExample))
        }
        return (
            addresses.map(\.shown).joined(separator: ","),
            addresses.map(\.identity).sorted().joined(separator: ",")
        )
    }

    private static func options(_ query: Substring) throws(Problem) -> [String: String] {
        var options: [String: String] = [:]
        for option in query.split(separator: "&") {
            let parts = option.split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, known.contains(String(parts[0])) else {
                throw Problem(
                    "url has an option that PostgreSQL does not know",
                    "write its own, as in ?sslmode=require")
            }
            options[String(parts[0])] = try decoded(parts[1])
        }
        return options
    }

    /// What may be seen stays; of the rest only that it is there.
    private static func shown(_ options: [String: String]) -> String {
        let rest = options.sorted { $0.key < $1.key }.compactMap { name, value in
            if inPlace.contains(name) { return String?.none }
            return "\(name)=\(open.contains(name) ? value : "***")"
        }
        return rest.isEmpty ? "" : "?" + rest.joined(separator: "&")
    }

    private static let inPlace: Set<String> = ["host", "hostaddr", "port", "user", "dbname"]
    private static let open: Set<String> = ["sslmode", "target_session_attrs", "connect_timeout"]
    /// The connection parameters of libpq 15.
    private static let known: Set<String> = inPlace.union(open).union([
        "password", "passfile", "channel_binding", "client_encoding", "options",
        "application_name", "fallback_application_name", "keepalives", "keepalives_idle",
        "keepalives_interval", "keepalives_count", "tcp_user_timeout", "gssencmode", "sslcert",
        "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslcrldir", "sslsni", "requirepeer",
        "ssl_min_protocol_version", "ssl_max_protocol_version", "sslcompression", "krbsrvname",
        "gsslib", "service",
    ])
}

private enum HostPortText {
    static func text(_ host: String, _ port: Int) -> String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
