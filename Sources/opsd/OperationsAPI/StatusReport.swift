import Foundation

/// What `GET /api/ops/status` says, and `opsd status --json` prints.
struct StatusReport: Codable, Equatable, Sendable {
    struct Envelope: Codable { let data: StatusReport }

    struct Service: Codable, Equatable, Sendable {
        var name: String
        var state: String
        var pid: Int?
        var restarts: Int
        /// When it came into this state: RFC 3339, as every time here.
        var since: String
        var last_exit: String?
        /// Why it should get no traffic although it runs.
        var not_ready: String?
        /// What is wrong with it, in words that follow its name; nil when it is well. A service that
        /// does one thing and has ended with success is well.
        var problem: String?
        /// The services that are ready before it starts.
        var after: [String] = []
    }

    struct Check: Codable, Equatable, Sendable {
        var name: String
        /// How it asks: `http`, `tcp`, `command`, `disk`, `process`, `file`, `service`, `store`,
        /// `stream`, `dataset`.
        var kind: String
        /// `healthy`, `degraded`, `unhealthy`, `unknown`.
        var status: String
        var since: String
        var message: String
        /// `success`, `degraded`, `failure`, `unknown`; nil before the first run.
        var last_outcome: String?
        var checked_at: String?
        var failures_in_row = 0
        /// The service whose check it is.
        var service: String?
        var depends_on: [String] = []
        /// The causes of its state, when it is not well because something else is not.
        var consequence_of: [String] = []
        /// What to type to look for oneself.
        var look: String
    }

    struct Core: Codable, Equatable, Sendable {
        var journal_sequence: String
        var checkpoint_sequence: String
        var checkpoint_failure: String?
        /// While the disk is full, and orders are refused for it.
        var journal_full: Bool?
        var queue_depth: Int
        var queue_capacity: Int
        var live_orders: Int
        var orders_unknown: Int
        /// Nil from a core of a version that had none.
        var stores: [Store]?
        var accounts_halted: [String]
        var accounts_not_open: [String]
    }

    /// A copy of the rows that the core keeps.
    struct Store: Codable, Equatable, Sendable {
        var name: String
        /// `starting`, `following`, `filling`, `failing`, `ahead`, `foreign`.
        var state: String
        /// The state in words that follow the store's name.
        var says: String
        /// Nil while nobody knows.
        var applied_sequence: String?
        var lag_entries: Int?
        /// Since when it is not written.
        var failing_since: String?
        /// The time of the oldest entry that it does not have.
        var behind_since: String?
        var datasets: [String]
        /// Datasets that should be read there and are not.
        var degraded: [String]
        var degraded_since: String?
        /// Datasets that are not written there, because rows lie there that nobody journaled. Nil from a
        /// core of a version that did not look.
        var unmigrated: [Unmigrated]?
    }

    struct Unmigrated: Codable, Equatable, Sendable {
        var dataset: String
        var says: String
        /// What to type to have them journaled.
        var command: String
    }

    struct Job: Codable, Equatable, Sendable {
        var name: String
        /// When it runs, in words.
        var times: String
        var next: String?
        /// Why nobody can tell whether it runs then.
        var doubt: String?
        /// Since when it runs; nil while it does not.
        var running_since: String?
        /// How its last run ended: `succeeded`, `found`, `failed`, `timed-out`, `refused`,
        /// `interrupted`, `unknown`, `missed`.
        var last_outcome: String?
        var last_detail: String?
        var last_started: String?
        var last_ended: String?
        var last_success: String?
        var is_overdue: Bool
    }

    /// One thing that is wrong, or that nobody could tell.
    struct Finding: Codable, Equatable, Sendable {
        var what: String
        var since: String?
        /// What to type next.
        var command: String
        /// Whether it says that something could not be told.
        var is_doubt = false
        /// Checks and services that are not well because of it.
        var explains: [String] = []
    }

    enum Verdict: String, Codable, Sendable {
        case well
        case wrong
        /// Something could not be asked, so nobody can say that all is well.
        case unknown

        var exitStatus: ExitStatus {
            switch self {
            case .well: .done
            case .wrong: .found
            case .unknown: .unknown
            }
        }
    }

    var node: String
    var version: String
    var time: String
    var services: [Service]
    var health: [Check]
    /// The name of the configuration's core; nil when it has none.
    var core_service: String?
    /// Nil when the core did not answer.
    var core: Core?
    /// Nil from a daemon of a version that had none.
    var jobs: [Job]?
    /// Nil from a daemon of a version that had none.
    var verification: [Verification]?
    /// Why the daemon does not write down what happens to services; nil when it does.
    var control_problem: String?

    var verdict = Verdict.well
    var findings: [Finding] = []
}
