import Dispatch
import DualWrite
import Foundation
import Ledger

/// Degraded datasets in a file of the data directory; no file when none is.
final class DegradationFile: DegradationRecord {
    private struct Item: Codable {
        var dataset: String
        var store: String
        /// Microseconds since 1970.
        var since: Int64
        var problem: String
    }

    private let path: String
    private let queue = DispatchQueue(label: "degradations")

    init(path: String) {
        self.path = path
    }

    func kept() throws(StoreError) -> [HybridReader.Degradation] {
        do {
            guard access(path, F_OK) == 0 || errno != ENOENT else { return [] }
            let data = try Data(contentsOf: URL(fileURLWithPath: path))
            return try JSONDecoder().decode([Item].self, from: data).map {
                HybridReader.Degradation(
                    dataset: $0.dataset, store: $0.store,
                    since: Timestamp(microseconds: $0.since), problem: $0.problem)
            }
        } catch {
            throw .damaged(store: path, problem: "it cannot be read: \(error)")
        }
    }

    func keep(
        _ present: @escaping @Sendable () -> [HybridReader.Degradation]
    ) async throws(StoreError) {
        let outcome: Result<Void, StoreError> = await withCheckedContinuation { continuation in
            queue.async { [path] in
                do {
                    try Self.write(present(), to: path)
                    continuation.resume(returning: .success(()))
                } catch {
                    continuation.resume(
                        returning: .failure(.unavailable(store: path, problem: "\(error)")))
                }
            }
        }
        try outcome.get()
    }

    private static func write(_ present: [HybridReader.Degradation], to path: String) throws {
        if present.isEmpty { return try PrivateFile.remove(path) }
        let items = present.map {
            Item(
                dataset: $0.dataset, store: $0.store, since: $0.since.microseconds,
                problem: $0.problem)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try PrivateFile.replace(path, String(decoding: encoder.encode(items), as: UTF8.self))
    }
}
