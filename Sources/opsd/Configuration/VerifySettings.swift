import Control
import Foundation
import Ledger
import StrictYAML

/// One entry of `verify`: what is compared with what, how often, and what becomes of a difference.
struct VerifySettings: Sendable, Equatable {
    enum Subject: Sendable, Equatable {
        /// A dataset in each of its stores with the journal.
        case dataset(DatasetCheck)
        /// Two stores with each other, whoever writes them.
        case pair(PairCheck)
    }

    /// Unique, and the label `check` of its metrics.
    var name: String
    var subject: Subject
    /// Of a dataset: within it every row of every store is read again. Of a pair: how often it is
    /// compared; nil: only when somebody says so.
    var every: Duration?
    /// A whole check at these times, as the job `verify-NAME`; nil: only when somebody says so.
    var full: Schedule?

    static let usualCycle = Duration.seconds(3_600)

    var dataset: DatasetCheck? {
        if case .dataset(let check) = subject { return check }
        return nil
    }
    var pair: PairCheck? {
        if case .pair(let check) = subject { return check }
        return nil
    }
}

/// What `opsd verify` does about a row that is not as journaled.
enum RepairMode: String, Sendable, CaseIterable {
    case none
    /// A plan is made, and waits.
    case plan
    /// The plan is carried out, where it is within the budget.
    case auto
}

/// Who is right when a row of a store is not as journaled.
enum ConflictRule: String, Sendable, CaseIterable {
    case journal
    /// What somebody wrote into the store is journaled.
    case store
    /// A person decides.
    case review
}

struct RepairBudget: Sendable, Equatable {
    /// So many rows at most.
    var rows = 100
    /// And no larger a part of those that were compared, from 0 to 1.
    var ratio = RepairBudget.hundredth

    private static let hundredth = (try? ExactDecimal(coefficient: 1, scale: 2)) ?? .zero
}

struct DatasetCheck: Sendable, Equatable {
    var dataset: String
    /// Whether each change is compared as soon as a store has it.
    var follow = true
    var repair = RepairMode.none
    var conflict = ConflictRule.journal
    var budget = RepairBudget()
}

/// Two sets of rows with each other. `left` is what is right where somebody must be.
struct PairCheck: Sendable, Equatable {
    enum Source: Sendable, Equatable {
        /// As the configuration declares its rows and its layout there.
        case dataset(String)
        /// Of postgres and sqlite: any table; in postgres `schema.table` too.
        case table(String)
    }

    struct Side: Sendable, Equatable {
        var store: String
        var source: Source
        /// Of a table: the columns of fields that are called otherwise there.
        var columns: [String: String] = [:]
        /// Of a dataset: how its rows lie there, where another program has put them; nil: as the
        /// dataset's own layout says.
        var layout: LayoutSettings?
    }

    var left: Side
    var right: Side
    /// The fields that tell rows apart. Empty: those of the dataset, or of the table's primary key.
    var keys: [String] = []
    /// The other fields that are compared. Empty: all of them; one that only one side has is then refused,
    /// unless the other is a dataset that does not have it.
    var fields: [String] = []
    /// Fields that are not compared.
    var ignored: [String] = []
    /// By field: how far two values may be apart and be the same.
    var tolerance: [String: Tolerance] = [:]
}

extension Configuration {
    /// The service that follows changes and reads the stores again and again; nil where no check asks
    /// for it.
    var verifyService: ServiceSettings? { services.first { $0.builtin == .verify } }

    /// What the metrics call the check of a dataset.
    func checkName(of dataset: String) -> String {
        verify.first { $0.dataset?.dataset == dataset }?.name ?? dataset
    }
}
