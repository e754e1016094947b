internal import Ledger

/// Reads a store once more for what no look at a single row tells: things that are no row of any key, and
/// keys that lie twice.
actor SecondLook {
    private let check: StoreCheck
    private let litter: [String: DamagedRow]
    private let repeated: Set<UInt64>
    private var foundLitter: [String: DamagedRow] = [:]
    private var counts: [RowKey: Int] = [:]

    init(_ check: StoreCheck, litter: [String: DamagedRow], repeated: Set<UInt64>) {
        self.check = check
        self.litter = litter
        self.repeated = repeated
    }

    /// What was strange at the first look and is at this one.
    func differences() async throws(StoreError) -> [Difference] {
        if litter.isEmpty, repeated.isEmpty { return [] }
        let pace = ScanPace(check.limits.rowsPerSecond)
        try await check.store.scan(check.schema.dataset, account: nil) {
            found async throws(StoreError) in
            await pace.wait(await self.take(found))
        }
        let dataset = check.schema.dataset
        return foundLitter.sorted { $0.key < $1.key }.map { place, damaged in
            Difference(
                dataset: dataset, key: nil, verdict: .corrupt,
                problem: "\(place): \(damaged.problem)")
        }
            + counts.filter { $0.value > 1 }.sorted { $0.key.description < $1.key.description }
            .map { key, count in
                Difference(
                    dataset: dataset, key: key, verdict: .corrupt,
                    problem: "it lies there \(count) times")
            }
    }

    private var rows = 0

    private func take(_ found: [FoundRow]) -> Int {
        for row in found {
            switch row {
            case .row(let stamped):
                let key = stamped.row.key(in: check.schema)
                if repeated.contains(check.journaled.digestKey.keyHash(key)) {
                    counts[key, default: 0] += 1
                }
            case .damaged(let damaged):
                if damaged.key == nil, litter[damaged.place] != nil {
                    foundLitter[damaged.place] = damaged
                }
            }
        }
        rows += found.count
        return rows
    }
}
