internal import Foundation
public import Ledger

/// Where a Redis is, and as whom to speak to it.
///
///     redis://user:password@host:port/db
///     unix:///path/to/socket?db=1          user and password before the path, as above
///     redis+sentinel://user:password@host1:port1,host2:port2,host3:port3/master/db
///
/// User and password may be percent-encoded. The password is in no error and no description.
public struct RedisURL: Sendable, Hashable {
    public struct Address: Sendable, Hashable, CustomStringConvertible {
        public let host: String
        public let port: Int

        public init(host: String, port: Int) {
            self.host = host
            self.port = port
        }

        public var description: String {
            host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }

    public enum Place: Sendable, Hashable {
        case address(Address)
        case socket(path: String)
        /// The Sentinels are asked where the master of this name is.
        case sentinels([Address], master: String)
    }

    public let place: Place
    public let user: String?
    public let password: Secret?
    public let database: Int

    public init(
        place: Place, user: String? = nil, password: Secret? = nil, database: Int = 0
    ) {
        self.place = place
        self.user = user
        self.password = password
        self.database = database
    }

    public init(_ text: String) throws(RedisURLError) {
        guard let colon = text.firstRange(of: "://") else {
            throw RedisURLError("begins with redis://, unix:// or redis+sentinel://")
        }
        var rest = text[colon.upperBound...]
        let scheme = text[..<colon.lowerBound].lowercased()
        guard ["redis", "rediss", "unix", "redis+sentinel"].contains(scheme) else {
            throw RedisURLError("begins with redis://, unix:// or redis+sentinel://")
        }
        let credentials = try Self.takeCredentials(
            from: &rest, endingAt: scheme == "unix" ? nil : "/")
        user = credentials.user
        password = credentials.password
        switch scheme {
        case "redis":
            let parts = rest.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            place = .address(try Self.address(parts.first ?? "", port: 6_379))
            database = try Self.database(parts.count > 1 ? parts[1] : "")
        case "unix":
            let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
            guard let path = parts.first?.removingPercentEncoding, path.hasPrefix("/") else {
                throw RedisURLError("has an absolute path after unix://, as unix:///run/redis.sock")
            }
            place = .socket(path: path)
            database = try Self.database(try Self.databaseOption(parts.count > 1 ? parts[1] : ""))
        case "redis+sentinel":
            let parts = rest.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count > 1, !parts[1].isEmpty, parts.count < 4 else {
                throw RedisURLError(
                    "names the master after the Sentinels, as redis+sentinel://a:26379/mymaster/0")
            }
            var sentinels: [Address] = []
            for part in parts[0].split(separator: ",", omittingEmptySubsequences: false) {
                sentinels.append(try Self.address(part, port: 26_379))
            }
            place = .sentinels(sentinels, master: String(parts[1]))
            database = try Self.database(parts.count > 2 ? parts[2] : "")
        default:
            throw RedisURLError(
                "is without TLS, which the Redis library of this system cannot do: put stunnel in "
                    + "front and write redis://, or use a Unix socket")
        }
    }

    /// - Parameter end: what ends the place that credentials stand in front of; nil: the whole text.
    private static func takeCredentials(
        from rest: inout Substring, endingAt end: Character?
    ) throws(RedisURLError) -> (user: String?, password: Secret?) {
        let stop = end.flatMap { rest.firstIndex(of: $0) } ?? rest.endIndex
        // The last one: a password may have an @ that nobody encoded.
        guard let mark = rest[..<stop].lastIndex(of: "@") else {
            guard end == nil || !rest[stop...].contains("@") else {
                throw RedisURLError("writes a / in its password as %2F")
            }
            return (nil, nil)
        }
        let parts = rest[..<mark].split(
            separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        rest = rest[rest.index(after: mark)...]
        var decoded: [String] = []
        for part in parts {
            guard let text = part.removingPercentEncoding else {
                throw RedisURLError("writes a % in its user or password as %25")
            }
            decoded.append(text)
        }
        guard decoded.count == 2, !decoded[1].isEmpty else {
            throw RedisURLError("has user:password or :password before the @")
        }
        return (decoded[0].isEmpty ? nil : decoded[0], Secret(decoded[1]))
    }

    private static func address(
        _ text: some StringProtocol, port: Int
    ) throws(RedisURLError) -> Address {
        var host = String(text)
        var number = port
        let afterBracket = host.lastIndex(of: "]") ?? host.startIndex
        if let colon = host[afterBracket...].lastIndex(of: ":") {
            guard let given = Int(host[host.index(after: colon)...]), (1...65_535).contains(given)
            else { throw RedisURLError("has a port from 1 to 65535") }
            number = given
            host = String(host[..<colon])
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard !host.isEmpty else { throw RedisURLError("names a host") }
        return Address(host: host, port: number)
    }

    private static func databaseOption(_ query: Substring) throws(RedisURLError) -> Substring {
        if query.isEmpty { return "" }
        guard query.hasPrefix("db="), !query.contains("&") else {
            throw RedisURLError("has no option but ?db=NUMBER")
        }
        return query.dropFirst(3)
    }

    private static func database(_ text: Substring) throws(RedisURLError) -> Int {
        if text.isEmpty { return 0 }
        guard let number = Int(text), number >= 0 else {
            throw RedisURLError("has a database's number, 0 or more, at its end")
        }
        return number
    }
}

extension RedisURL: CustomStringConvertible {
    /// Without the password.
    public var description: String {
        let who = user.map { $0 + "@" } ?? ""
        switch place {
        case .address(let address): return "redis://\(who)\(address)/\(database)"
        case .socket(let path):
            return "unix://\(who)\(path)" + (database == 0 ? "" : "?db=\(database)")
        case .sentinels(let sentinels, let master):
            let list = sentinels.map(\.description).joined(separator: ",")
            return "redis+sentinel://\(who)\(list)/\(master)/\(database)"
        }
    }
}

/// A text that is no URL of a Redis; says what one looks like, and nothing of the text itself, which
/// may have a password in it.
public struct RedisURLError: Error, Equatable, CustomStringConvertible {
    public let rule: String

    init(_ rule: String) {
        self.rule = rule
    }

    public var description: String { "a Redis URL \(rule)" }
}
