import Control
import Foundation
import Logging

/// What SIGHUP does: reads the configuration again and makes the services those that it names. A
/// configuration that is refused changes nothing.
struct ConfigurationReload: Sendable {
    /// The one with which the daemon started.
    let running: Configuration
    let supervisor: Supervisor
    let children: BuiltinChildren
    let logger: Logger

    func run() async {
        let path = running.path
        do {
            let configuration = try await Self.load(path)
            guard configuration.dataDirectory == running.dataDirectory else {
                throw CommandFailure(
                    .badInput, "data_dir cannot change while the daemon runs: stop it first")
            }
            children.update(configuration)
            let changes = try await supervisor.apply(ServiceSpecification.all(of: configuration))
            report(changes)
        } catch {
            let problem = (error as? CommandFailure)?.message ?? "\(error)"
            logger.error(
                "the configuration is refused, and nothing has changed: \(problem)",
                metadata: ["file": "\(path)"])
        }
    }

    private func report(_ changes: ServiceChanges) {
        logger.notice(
            "the configuration was read again",
            metadata: [
                "file": "\(running.path)", "added": "\(changes.added)",
                "removed": "\(changes.removed)", "restarted": "\(changes.restarted)",
                "updated": "\(changes.updated)",
            ])
        logger.notice(
            """
            what core and broker read for themselves, they read at their next start \
            (opsd service restart NAME); listen.ops is read when the daemon starts
            """)
    }

    /// Reads files, so not on the pool of tasks.
    private static func load(_ path: String) async throws -> Configuration {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global(qos: .utility).async {
                continuation.resume(with: Result { try Configuration.load(path) })
            }
        }
    }
}
