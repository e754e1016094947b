public import Ledger

/// What can be said of a store without reading all of it. None of it is a proof: of a row that rests the
/// store's own word is taken.
extension StoreCheck {
    /// Looks at the rows that changed after an entry, and asks the store what its rows add up to, as it was
    /// told with the entries.
    /// - Parameter sequence: as of which the store was proven last.
    public func warm(after sequence: SequenceNumber) async -> CheckReport {
        var report = await recent(after: sequence)
        guard report.through != nil else { return report }
        do throws(StoreError) {
            try await compareDigests(&report)
        } catch {
            report.fail(error.description)
        }
        return report
    }

    private func compareDigests(_ report: inout CheckReport) async throws(StoreError) {
        for attempt in 1...Self.digestAttemptsMax {
            let before = try await store.position()
            let told = try await store.digests().filter { $0.scope.dataset == schema.dataset }
            guard try await store.position() == before,
                let journaled = try await journaled.digests(
                    of: schema.dataset, asOf: before.applied)
            else {
                // It moves, or the journal's own rows are ahead of it.
                if attempt < Self.digestAttemptsMax {
                    try? await Task.sleep(for: .milliseconds(50))
                }
                continue
            }
            var rest = journaled.filter { $0.value != .empty }
            for stamp in told {
                let wanted = rest.removeValue(forKey: stamp.scope) ?? .empty
                if stamp.digest != wanted { report.add(difference(stamp, wanted)) }
            }
            for (scope, digest) in rest {
                report.add(difference(DigestStamp(scope: scope, digest: .empty), digest))
            }
            return
        }
        report.fail("\(name) is in motion: its digests could not be compared with an entry's")
    }

    private static let digestAttemptsMax = 40

    private func difference(_ told: DigestStamp, _ wanted: Digest) -> Difference {
        let account = told.scope.account.isEmpty ? "" : " of account '\(told.scope.account)'"
        return Difference(
            dataset: schema.dataset, key: nil, verdict: .corrupt,
            problem:
                "the digest that it keeps\(account) is \(told.digest), where \(wanted) was journaled"
        )
    }

    /// Looks at some rows, chosen by chance.
    /// - Parameter count: how many; fewer where there are not so many.
    public func sample(_ count: Int) async -> CheckReport {
        var report = CheckReport(dataset: schema.dataset, store: name)
        do throws(StoreError) {
            let sample = Reservoir(count)
            let schema = schema
            _ = try await journaled.scan(schema.dataset) { rows async throws(StoreError) in
                await sample.take(rows.map { $0.row.key(in: schema) })
            }
            report = await examine(await sample.keys)
            report.through = try await journaled.head()
        } catch {
            report.fail(error.description)
        }
        return report
    }
}

/// So many of what comes by, each with the same chance.
private actor Reservoir {
    private let count: Int
    private var seen = 0
    private(set) var keys: [RowKey] = []

    init(_ count: Int) {
        self.count = count
    }

    func take(_ more: [RowKey]) {
        for key in more {
            seen += 1
            if keys.count < count {
                keys.append(key)
            } else {
                let place = Int.random(in: 0..<seen)
                if place < count { keys[place] = key }
            }
        }
    }
}
