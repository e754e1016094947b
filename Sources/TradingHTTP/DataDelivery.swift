public import Ledger

/// What the answer to a write of declared rows waits for once the write is durable.
public struct DataPromise: Sendable, Hashable {
    /// What is done when not all of the stores have it in time.
    public enum Lapse: Sendable, Hashable {
        /// The write stands, and the answer says that stores are behind.
        case toldBehind
        /// The write is taken back before the answer.
        case rolledBack
    }

    public let stores: [String]
    public let within: Duration
    public let otherwise: Lapse

    public init(stores: [String], within: Duration, otherwise: Lapse) {
        self.stores = stores
        self.within = within
        self.otherwise = otherwise
    }
}

/// Tells whether the stores of a dataset's route have a write.
public protocol DataDelivery: Sendable {
    /// Nil: the answer goes out as soon as the write is durable.
    func promise(for dataset: String) -> DataPromise?

    /// The promise's stores that do not have an entry when its time is over, or cannot be expected to;
    /// none as soon as all of them have it.
    func missing(
        _ sequence: SequenceNumber, of dataset: String, in promise: DataPromise
    ) async -> [String]
}

/// How a write that is durable ends: a plain value, decided from what the stores did.
enum DataOutcome: Sendable, Hashable {
    case done
    case behind([String])
    case rollBack([String])

    init(_ promise: DataPromise?, missing: [String]) {
        self =
            switch promise?.otherwise {
            case _ where missing.isEmpty: .done
            case nil: .done
            case .toldBehind: .behind(missing)
            case .rolledBack: .rollBack(missing)
            }
    }
}
