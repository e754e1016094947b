import Ledger
import Trading

/// What a configuration that was read again changes, and what of it takes effect at once. A pure
/// value: `ReloadOutcome` reads, the daemon carries out.
struct ConfigurationPlan: Sendable, Equatable {
    /// When a change takes effect.
    enum Effect: Sendable, Equatable {
        /// With this plan, and no process notices.
        case atOnce
        /// With this plan: the service is started, stopped, or stopped and started again.
        case startsService(String)
        case stopsService(String)
        case restartsService(String)
        /// Once these services have been restarted, by an operator who chooses the time.
        case needsRestart(of: [String])
        /// Once the daemon has been restarted.
        case needsDaemonRestart

        var isLive: Bool {
            switch self {
            case .atOnce, .startsService, .stopsService, .restartsService: true
            case .needsRestart, .needsDaemonRestart: false
            }
        }
    }

    struct Change: Sendable, Equatable, CustomStringConvertible {
        let path: String
        /// Nil: there was nothing, or there is nothing any more. Secrets are masked.
        let old: String?
        let new: String?
        let effect: Effect

        var description: String {
            let values =
                switch (old, new) {
                case (let old?, let new?): "\(old) → \(new)"
                case (nil, let new?): "added: \(new)"
                case (let old?, nil): "removed: \(old)"
                case (nil, nil): "changed"
                }
            return "\(path): \(values); \(remedy)"
        }

        /// What happens, or what is to be done.
        var remedy: String {
            switch effect {
            case .atOnce: "takes effect now"
            case .startsService(let name): "service \(name) is started"
            case .stopsService(let name): "service \(name) is stopped"
            case .restartsService(let name): "service \(name) is restarted"
            case .needsRestart(let names):
                "not yet in effect: run "
                    + names.map { "'opsd service restart \($0)'" }.joined(separator: " and ")
            case .needsDaemonRestart:
                "not yet in effect: restart the daemon (opsd run)"
            }
        }
    }

    let changes: [Change]
    /// What the daemon runs with after this plan: its live part new, the rest as it was, so that the
    /// next plan names again what is still waiting.
    let configuration: Configuration
    /// All that was read, with what waits for a restart.
    let read: Configuration

    var live: [Change] { changes.filter(\.effect.isLive) }
    var waiting: [Change] { changes.filter { !$0.effect.isLive } }

    /// Services to start again because what their process is made of has changed.
    var restartedServices: [String] {
        names { if case .restartsService(let name) = $0 { name } else { nil } }
    }
    var addedServices: [String] {
        names { if case .startsService(let name) = $0 { name } else { nil } }
    }
    var removedServices: [String] {
        names { if case .stopsService(let name) = $0 { name } else { nil } }
    }

    private func names(_ name: (Effect) -> String?) -> [String] {
        changes.reduce(into: []) { names, change in
            if let name = name(change.effect), !names.contains(name) { names.append(name) }
        }
    }
}

extension ConfigurationPlan {
    init(from old: Configuration, to new: Configuration) {
        let judge = ChangeJudge(old: old, new: new)
        changes = judge.changes()
        var next = old
        next.services = new.services
        next.health = new.health
        next.calendars = new.calendars
        next.jobs = new.jobs
        next.verify = new.verify
        next.operators = new.operators
        next.secrets.keyFile = new.secrets.keyFile
        next.writtenKeys = new.writtenKeys
        next.warnings = new.warnings
        // A service that looked for its data in another directory than the daemon would be lost to it.
        if new.dataDirectory == old.dataDirectory { next.texts = new.texts }
        configuration = next
        read = new
    }
}

/// Compares two configurations setting by setting and says of each change when it takes effect.
private struct ChangeJudge {
    let old: Configuration
    let new: Configuration

    func changes() -> [ConfigurationPlan.Change] {
        let before = ConfigurationEntries.of(old) + old.accounts.accounts.flatMap(AccountEntries.of)
        let after = ConfigurationEntries.of(new) + new.accounts.accounts.flatMap(AccountEntries.of)
        return items(before, after) + settings(before, after)
    }

    /// Something that has a name and settings of its own, by its two keys.
    private struct Item {
        let keys: [String]
        /// Its first setting, which says best what it is: its program, its probe, its role.
        let summary: String
    }

    /// Services, checks, jobs, accounts and operators that came or went: one change each, not one a key.
    private func items(
        _ before: [ConfigurationEntry], _ after: [ConfigurationEntry]
    ) -> [ConfigurationPlan.Change] {
        let (had, has) = (items(of: before), items(of: after))
        let (hadSet, hasSet) = (Set(had.map(\.keys)), Set(has.map(\.keys)))
        let gone = had.filter { !hasSet.contains($0.keys) }.map { item in
            change(item.keys, old: item.summary, new: nil, comes: false)
        }
        let come = has.filter { !hadSet.contains($0.keys) }.map { item in
            change(item.keys, old: nil, new: item.summary, comes: true)
        }
        return gone + come
    }

    private func items(of entries: [ConfigurationEntry]) -> [Item] {
        var seen: Set<[String]> = []
        return entries.compactMap { entry in
            guard let keys = item(entry), seen.insert(keys).inserted else { return nil }
            return Item(keys: keys, summary: "\(entry.keys.last ?? "") \(entry.shown)")
        }
    }

    private static let namedSections: Set<String> = [
        "services", "health", "operators", "accounts", "stores", "datasets", "jobs",
        "verify",
    ]

    /// The first two keys of an entry that belongs to an item.
    private func item(_ entry: ConfigurationEntry) -> [String]? {
        guard entry.keys.count > 2, let first = entry.keys.first,
            Self.namedSections.contains(first)
        else { return nil }
        return Array(entry.keys.prefix(2))
    }

    private func change(
        _ keys: [String], old: String?, new: String?, comes: Bool
    ) -> ConfigurationPlan.Change {
        let effect: ConfigurationPlan.Effect =
            keys.first == "services"
            ? (comes ? .startsService(keys[1]) : .stopsService(keys[1])) : effect(of: keys)
        return ConfigurationPlan.Change(
            path: ConfigurationEntry.path(of: keys), old: old, new: new, effect: effect)
    }

    private func settings(
        _ before: [ConfigurationEntry], _ after: [ConfigurationEntry]
    ) -> [ConfigurationPlan.Change] {
        let (had, has) = (byPath(before), byPath(after))
        let (hadItems, hasItems) = (
            Set(items(of: before).map(\.keys)), Set(items(of: after).map(\.keys))
        )
        var seen: Set<String> = []
        return (before + after).compactMap { entry in
            guard seen.insert(entry.path).inserted else { return nil }
            let (from, to) = (had[entry.path], has[entry.path])
            guard from?.exact != to?.exact else { return nil }
            // Of an item that came or went all is said already.
            if let item = item(entry), !hadItems.contains(item) || !hasItems.contains(item) {
                return nil
            }
            return ConfigurationPlan.Change(
                path: entry.path, old: from?.shown, new: to?.shown,
                effect: effect(of: entry.keys, to: to?.shown))
        }
    }

    private func byPath(_ entries: [ConfigurationEntry]) -> [String: ConfigurationEntry] {
        Dictionary(entries.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })
    }

    // MARK: Effects

    /// Parts of a service that its process is made of. The others are the supervisor's own affair,
    /// limits too: they can be set for a process that runs.
    private static let processKeys: Set<String> = [
        "builtin", "command", "environment", "working_directory",
    ]

    /// A built-in service reads the file for itself when it starts, so restarting it is enough.
    private func effect(of keys: [String], to new: String? = nil) -> ConfigurationPlan.Effect {
        switch keys.first {
        // What a process had before its limit, nobody knows any more.
        case "services" where keys.last == "open_files" && new == "none":
            .needsRestart(of: [keys[1]])
        case "services" where keys.count > 2:
            Self.processKeys.contains(keys[2]) ? .restartsService(keys[1]) : .atOnce
        case "health", "operators", "calendars", "jobs": .atOnce
        case "verify": verifyEffect(of: keys)
        case "secrets": keys.last == "key_file" ? .atOnce : restart([.core])
        case "accounts": restart([.core, .paperBroker])
        case "stores", "datasets": restart([.core, .verify])
        case "time_zone", "limits", "engine", "journal", "events": restart([.core])
        case "listen": keys.last == "trading" ? restart([.core]) : .needsDaemonRestart
        case "broker": restart(keys.last == "paper" ? [.core, .paperBroker] : [.core])
        case "paper_broker": restart([.paperBroker])
        default: .needsDaemonRestart
        }
    }

    /// The service takes its checks up when it starts, and goes on where it stood. A check that only has
    /// a job needs no service.
    private func verifyEffect(of keys: [String]) -> ConfigurationPlan.Effect {
        let name = keys.count > 1 ? keys[1].trimmingBrackets : ""
        let isFollowed = (old.verify + new.verify).contains {
            $0.name == name && $0.dataset != nil
        }
        guard isFollowed, keys.last != "full", let service = new.verifyService,
            old.verifyService != nil
        else { return .atOnce }
        return .restartsService(service.name)
    }

    /// Of the services that run now. Where none of them does, nothing has to be done.
    private func restart(_ builtins: [BuiltinService]) -> ConfigurationPlan.Effect {
        let names = new.services.compactMap { service in
            guard let builtin = service.builtin, builtins.contains(builtin) else {
                return String?.none
            }
            return service.name
        }
        return names.isEmpty ? .atOnce : .needsRestart(of: names)
    }
}

extension String {
    /// The name in `[name]`.
    fileprivate var trimmingBrackets: String {
        hasPrefix("[") && hasSuffix("]") ? String(dropFirst().dropLast()) : self
    }
}
