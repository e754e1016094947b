import Dispatch
import StrictYAML

/// What reading the configuration again came to.
enum ReloadOutcome: Sendable, Equatable {
    /// The file is broken: nothing changes.
    case refused(ConfigurationError)
    /// The files say what holds already, perhaps in other words.
    case unchanged(ConfigurationTexts)
    /// Carry out `plan.configuration` and the restarts it names, and log every change.
    case changed(ConfigurationPlan)

    /// Reads the file of the running configuration and compares. Call it again for each SIGHUP, with
    /// the configuration of the last plan. Files are read on a thread of their own, not on the pool's.
    static func read(
        running: Configuration,
        environment: @escaping @Sendable (String) -> String? = Configuration.processVariable,
        loginName: String = LoginName.current
    ) async -> ReloadOutcome {
        await withCheckedContinuation { continuation in
            DispatchQueue.global(qos: .utility).async {
                continuation.resume(
                    returning: compare(running, environment: environment, loginName: loginName))
            }
        }
    }

    static func compare(
        _ running: Configuration, environment: @escaping @Sendable (String) -> String?,
        loginName: String
    ) -> ReloadOutcome {
        let new: Configuration
        do {
            new = try Configuration.load(
                running.path, environment: environment, loginName: loginName)
        } catch {
            return .refused(error)
        }
        let plan = ConfigurationPlan(from: running, to: new)
        return plan.changes.isEmpty ? .unchanged(new.texts) : .changed(plan)
    }

    /// What to log, one line each.
    var lines: [String] {
        switch self {
        case .refused(let error):
            ["the configuration is refused and nothing changes:"]
                + error.description.split(separator: "\n").map(String.init)
        case .unchanged: ["the configuration is read again: nothing has changed"]
        case .changed(let plan): plan.changes.map(\.description)
        }
    }
}
