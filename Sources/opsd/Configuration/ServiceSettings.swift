import Foundation
import Ledger
import StrictYAML

/// One process that the supervisor runs.
struct ServiceSettings: Sendable, Equatable {
    enum Program: Sendable, Equatable {
        case builtin(BuiltinService)
        /// A program and its arguments, started in the configuration's folder.
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
    var restart = RestartSettings()
    var checks: [ServiceCheck] = []
    var stop = StopSettings()

    static let embeddedDefault = [
        ServiceSettings(name: "core", program: .builtin(.core)),
        ServiceSettings(name: "broker", program: .builtin(.paperBroker), before: ["core"]),
    ]
}

enum BuiltinService: String, Sendable, CaseIterable {
    case core
    case paperBroker = "paper-broker"
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
}

enum StopSignal: String, Sendable, CaseIterable {
    case TERM, INT, QUIT, HUP, USR1, USR2, KILL
}

struct StopSettings: Sendable, Equatable {
    var signal = StopSignal.TERM
    /// Then the service is killed.
    var timeout = Duration.seconds(10)
}
