internal import Ledger

/// What a server's refusal means for the caller: whether another try may heal it, and what to do.
///
/// What passes by itself or with the server's own recovery is `unavailable`; what stays until a person
/// changes it is `refused`; something else than opsd's own data in its place is `damaged`.
enum RedisProblem {
    static func error(_ text: String, store: String, key: [UInt8]? = nil) -> StoreError {
        let kind = String(text.prefix { $0 != " " })
        let place = key.map { " (key \(shown($0)))" } ?? ""
        if kind == "WRONGTYPE" {
            return .damaged(
                store: store,
                problem: "the key \(key.map(shown) ?? "") is of another type than its layout's; "
                    + "look at it with TYPE, and remove it with DEL if it is nobody's")
        }
        if let remedy = passing[kind] {
            return .unavailable(store: store, problem: "\(text)\(place): \(remedy)")
        }
        if text.hasPrefix("ERR max number of clients") {
            return .unavailable(
                store: store,
                problem: "\(text): raise its maxclients, or lower connections.max here")
        }
        if let remedy = lasting[kind] ?? remedyOfPlainError(text) {
            return .refused(store: store, problem: "\(text)\(place): \(remedy)")
        }
        return .refused(store: store, problem: text + place)
    }

    private static let passing = [
        "OOM": "its memory is full and nothing may be evicted: raise maxmemory, or make room",
        "READONLY": "it is a replica: a failover is under way, or the URL must name the master",
        "LOADING": "it is reading its data from disk after a start",
        "BUSY": "a script holds it up: SCRIPT KILL ends the script",
        "UNKILLABLE": "a script that has written holds it up",
        "MISCONF": "it cannot save to its disk and takes no writes: see its log, make room there",
        "MASTERDOWN": "it is a replica whose master is gone: a failover is under way",
        "NOREPLICAS": "too few replicas follow it (min-replicas-to-write)",
        "TRYAGAIN": "it is moving keys", "CLUSTERDOWN": "its cluster is incomplete",
        "NOSCRIPT": "it was restarted and has forgotten its scripts",
        "NOGOODSLAVE": "a failover is under way",
    ]

    private static let lasting = [
        "NOAUTH": "it wants a password: write it into the store's url",
        "WRONGPASS": "user or password in the store's url is not the server's",
        "NOPERM": "grant its user this command and the key, with ACL SETUSER",
        "DENIED": "it lets only this machine in: set a password there, or bind",
        "MOVED": "it belongs to a Redis Cluster, which this store does not speak",
        "ASK": "it belongs to a Redis Cluster, which this store does not speak",
        "CROSSSLOT": "it belongs to a Redis Cluster, which this store does not speak",
    ]

    private static func remedyOfPlainError(_ text: String) -> String? {
        if text.contains("without any password configured") || text.contains("no password is set") {
            return "take the password out of the store's url, or set one there with requirepass"
        }
        if text.contains("DB index") || text.contains("invalid DB") {
            return "the database at the end of the store's url must be below the server's databases"
        }
        if text.contains("unknown command") { return "opsd needs Redis 6.2 or later" }
        return nil
    }

    /// A key as an error shows it: it may be any bytes.
    static func shown(_ key: [UInt8]) -> String {
        let text = String(decoding: key.prefix(200), as: UTF8.self)
        return "'" + text.replacing("\u{0}", with: "\\0") + "'"
    }
}
