import DualWrite
import Ledger
import TradingHTTP

/// What a write of declared rows waits for, by the configuration and the routes.
struct StoreDelivery: DataDelivery {
    private let rollingBack: Set<String>
    private let dualWrite: DualWrite

    /// How long a client is kept waiting for a store.
    private static let behindAfter = Duration.seconds(5)
    private static let rollBackAfter = Duration.seconds(2)

    init(_ configuration: Configuration, _ dualWrite: DualWrite) {
        rollingBack = Set(
            configuration.datasets.filter { $0.declared?.onFailure == .rollBack }.map(\.name))
        self.dualWrite = dualWrite
    }

    func promise(for dataset: String) -> DataPromise? {
        guard let route = dualWrite.routes[dataset] else { return nil }
        if rollingBack.contains(dataset) {
            return DataPromise(
                stores: route.writes, within: Self.rollBackAfter, otherwise: .rolledBack)
        }
        guard let new = route.new, route.stage == .write || route.stage == .full else { return nil }
        return DataPromise(stores: [new], within: Self.behindAfter, otherwise: .toldBehind)
    }

    func missing(
        _ sequence: SequenceNumber, of dataset: String, in promise: DataPromise
    ) async -> [String] {
        await withTaskGroup(of: String?.self) { group in
            for name in promise.stores {
                group.addTask {
                    guard let follower = dualWrite[name] else { return name }
                    let isThere = await follower.reach(sequence, within: promise.within)
                    // It may follow, and leave this dataset to another program.
                    return isThere && follower.state.unmigrated[dataset] == nil ? nil : name
                }
            }
            var missing: [String] = []
            for await name in group { if let name { missing.append(name) } }
            return missing.sorted()
        }
    }
}
