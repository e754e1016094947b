import PostgresStore
import RedisStore

/// What a server has of a setting, against what is recommended.
struct StoreAdvice: Sendable, Equatable {
    enum Verdict: String, Sendable {
        case ok, warning
        /// It did not say.
        case unknown
    }

    var verdict: Verdict
    var setting: String
    var says: String
    /// The line for the server's own configuration; nil when nothing is to be written.
    var write: String?
}

/// Compares a Redis with what is recommended: a plain function of what it says of itself.
enum RedisAdvice {
    /// - Parameter keepsRows: whether something lies there that is no cache.
    static func of(_ facts: RedisFacts, keepsRows: Bool) -> [StoreAdvice] {
        var advice: [StoreAdvice] = []
        func judge(
            _ setting: String, _ isWell: (String) -> Bool, _ why: (String) -> String,
            _ write: String
        ) {
            guard let value = facts.settings[setting] else {
                return advice.append(
                    StoreAdvice(
                        verdict: .unknown, setting: setting,
                        says: "it does not say: grant its user CONFIG|GET"))
            }
            let shown = value.isEmpty ? "none" : value
            advice.append(
                isWell(value)
                    ? StoreAdvice(verdict: .ok, setting: setting, says: shown)
                    : StoreAdvice(
                        verdict: .warning, setting: setting, says: why(shown), write: write))
        }
        if keepsRows {
            judge(
                "save", savesHourly,
                { "\($0): after a crash the newest snapshot may be older than an hour" },
                "save 3600 1")
            judge(
                "appendonly", { $0 == "yes" },
                { "\($0): what was written since the last snapshot goes with the process" },
                "appendonly yes")
            judge(
                "appendfsync", { ["everysec", "always"].contains($0) },
                { "\($0): more than a second may be lost with the machine" },
                "appendfsync everysec")
        }
        judge(
            "maxmemory", { (Int($0) ?? 0) > 0 },
            { "\($0): it grows until the kernel ends it" }, "maxmemory 512mb")
        judge(
            "maxmemory-policy",
            {
                keepsRows
                    ? $0 == "noeviction" : $0.hasPrefix("volatile-") || $0.hasPrefix("allkeys-")
            },
            {
                keepsRows
                    ? "\($0): rows that are kept would vanish when its memory is full"
                    : "\($0): a cache that is full takes nothing new"
            }, keepsRows ? "maxmemory-policy noeviction" : "maxmemory-policy allkeys-lru")
        advice.append(protection(facts))
        if let watch = facts.watch { advice.append(self.watch(watch)) }
        return advice
    }

    /// Pairs of seconds and changes.
    private static func savesHourly(_ text: String) -> Bool {
        let numbers = text.split(separator: " ").compactMap { Int($0) }
        return stride(from: 0, to: numbers.count - 1, by: 2).contains {
            numbers[$0] <= 3_600 && numbers[$0 + 1] <= 1
        }
    }

    private static func protection(_ facts: RedisFacts) -> StoreAdvice {
        if facts.settings["port"] == "0" {
            return StoreAdvice(
                verdict: .ok, setting: "requirepass", says: "it listens at a Unix socket only")
        }
        guard let isOpen = facts.isOpen else {
            return StoreAdvice(
                verdict: .unknown, setting: "requirepass",
                says: "it does not say: grant its user ACL|GETUSER")
        }
        return isOpen
            ? StoreAdvice(
                verdict: .warning, setting: "requirepass",
                says: "none: whoever reaches its port may read and change everything",
                write: "requirepass PASSWORD, and the same in the store's url")
            : StoreAdvice(verdict: .ok, setting: "requirepass", says: "a password is wanted")
    }

    private static func watch(_ watch: RedisFacts.Watch) -> StoreAdvice {
        let says = "\(watch.sentinels) Sentinels, quorum \(watch.quorum)"
        if watch.sentinels >= 3, watch.quorum == watch.sentinels / 2 + 1 {
            return StoreAdvice(verdict: .ok, setting: "sentinel", says: says)
        }
        return StoreAdvice(
            verdict: .warning, setting: "sentinel",
            says: says + ": 3 on machines of their own, of whom 2 agree, survive one of them",
            write: "sentinel monitor NAME HOST PORT 2")
    }
}

/// Compares a PostgreSQL database with what opsd needs.
enum PostgresAdvice {
    private static let versionMin = 130_000

    static func of(_ facts: PostgresFacts) -> [StoreAdvice] {
        let isNew = facts.versionNumber >= versionMin
        let version = StoreAdvice(
            verdict: isNew ? .ok : .warning, setting: "version",
            says: facts.version + (isNew ? "" : ": it gets no corrections any more"),
            write: isNew ? nil : "PostgreSQL \(versionMin / 10_000) or later")
        return [version, migrations(facts)]
    }

    private static func migrations(_ facts: PostgresFacts) -> StoreAdvice {
        let known = Set(facts.knownMigrations)
        guard let done = facts.migrations else {
            return StoreAdvice(
                verdict: .ok, setting: "migrations",
                says: "none yet: the core makes its tables when it starts")
        }
        let foreign = done.filter { !known.contains($0) }
        if let newest = foreign.max() {
            return StoreAdvice(
                verdict: .warning, setting: "migrations",
                says: "\(newest) was applied by a newer opsd than this one",
                write: "nothing there: use that opsd")
        }
        let missing = known.count - Set(done).count
        return StoreAdvice(
            verdict: .ok, setting: "migrations",
            says: "\(done.count) of \(known.count) applied"
                + (missing > 0 ? ", the others when the core starts" : ""))
    }
}
