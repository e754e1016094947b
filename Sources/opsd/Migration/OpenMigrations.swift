import Dispatch
import DualWrite
import Ledger

/// The migrations that are not over, as the core looks at them before it takes a source over. It reads
/// their records, so that it knows of them after whatever has ended it or the command.
struct OpenMigrations: Sendable {
    let root: String
    /// Reading blocks.
    private let queue = DispatchQueue(label: "open-migrations")

    /// What the core leaves alone in a store. Throws when that cannot be told: nothing is filled then.
    func kept(in store: String) async throws(StoreError) -> KeptDatasets {
        let found: Result<KeptDatasets, CommandFailure> = await withCheckedContinuation {
            continuation in
            queue.async { [root] in
                continuation.resume(
                    returning: Result { () throws(CommandFailure) in
                        try MigrationRecord.keptDatasets(of: store, in: root)
                    })
            }
        }
        do {
            return try found.get()
        } catch {
            throw .unavailable(store: store, problem: error.message)
        }
    }
}
