import Foundation
import Ledger
import StrictYAML

/// One process that the supervisor runs.
struct ServiceSettings: Sendable, Equatable {
    enum Program: Sendable, Equatable {
        case builtin(BuiltinService)
        /// A program and its arguments.
        case command([String])
    }

    var name: String
    var program: Program
    /// Started once these are up, stopped before they are.
    var after: [String] = []
    /// The same, said from the other side.
    var before: [String] = []
    /// Added to the supervisor's own environment. Secret, because tokens are passed this way.
    var environment: [String: Secret] = [:]
    /// Nil: the configuration's folder.
    var workingDirectory: String?
    /// So long do the services after this one wait until it is ready; then they start all the same.
    var readyTimeout = Duration.seconds(30)
    /// How often the service is looked at for being hung.
    var watchdog = Duration.seconds(5)
    var limits = ServiceLimits()
    var log = ServiceLogSettings()
    var restart = RestartSettings()
    var checks: [ServiceCheck] = []
    var stop = StopSettings()

    static let embeddedDefault = [
        ServiceSettings(name: "core", program: .builtin(.core)),
        ServiceSettings(name: "broker", program: .builtin(.paperBroker), before: ["core"]),
    ]

    var builtin: BuiltinService? {
        if case .builtin(let builtin) = program { return builtin }
        return nil
    }
}

enum BuiltinService: String, Sendable, CaseIterable {
    case core
    case paperBroker = "paper-broker"
    case verify
}

/// Nil: no limit.
struct ServiceLimits: Sendable, Equatable {
    /// Bytes in memory, of the service and what it has started.
    var memory: Int?
    var openFiles: Int?
}

struct ServiceLogSettings: Sendable, Equatable {
    /// Bytes.
    var rotateAt = 64_000_000
    /// So many older files are kept.
    var keep = 5
}

enum RestartPolicy: String, Sendable, CaseIterable {
    case always
    case onFailure = "on-failure"
    case never
}

struct RestartSettings: Sendable, Equatable {
    var policy = RestartPolicy.always
    /// The pause before the first restart; each further one is `factor` times as long, up to
    /// `limit`, until the service has been up for `resetAfter`.
    var backoff = Duration.milliseconds(500)
    var factor = ExactDecimal(2)
    var limit = Duration.seconds(30)
    var resetAfter = Duration.seconds(60)
}

struct ServiceCheck: Sendable, Equatable {
    enum Probe: Sendable, Equatable {
        case http(URL)
        case tcp(HostPort)
        case command([String])
    }

    var probe: Probe
    var period = Duration.seconds(10)
    var timeout = Duration.seconds(1)
    /// So many failures in a row make the service unhealthy.
    var threshold = 3
    /// So many successes in a row make it well again.
    var successThreshold = 1
    /// An answer that takes so long is degraded; nil: none is.
    var degradedFrom: Duration?
}

enum StopSignal: String, Sendable, CaseIterable {
    case TERM, INT, QUIT, HUP, USR1, USR2, KILL
}

struct StopSettings: Sendable, Equatable {
    var signal = StopSignal.TERM
    /// Then the service is killed.
    var timeout = Duration.seconds(10)
}
