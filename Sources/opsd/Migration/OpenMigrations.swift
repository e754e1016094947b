import Dispatch
import DualWrite

/// The migrations that are not over, as the core looks at them before it takes a source over. It reads
/// their records, so that it knows of them after whatever has ended it or the command.
struct OpenMigrations: Sendable {
    let root: String
    /// Reading blocks.
    private let queue = DispatchQueue(label: "open-migrations")

    /// What the core leaves alone in a store.
    func kept(in store: String) async -> KeptDatasets {
        await withCheckedContinuation { continuation in
            queue.async { [root] in
                continuation.resume(returning: MigrationRecord.keptDatasets(of: store, in: root))
            }
        }
    }
}
