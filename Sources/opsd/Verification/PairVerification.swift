import Ledger
import Verify

/// The checks of one command that compare two stores with each other.
struct PairVerification {
    let configuration: Configuration
    let checks: [VerifySettings]
    let limits: StoreCheck.Limits

    /// One after the other: each may take what memory there is for one.
    func run(
        progress: @escaping @Sendable (Verification.Place, ScanProgress) -> Void,
        show: (CheckReport) -> Void
    ) async -> [CheckReport] {
        let book = VerificationBook(DataLayout(configuration))
        var reports: [CheckReport] = []
        for check in checks {
            guard let pair = check.pair else { continue }
            let begun = Timestamp.now()
            let report = await run(check.name, pair, progress)
            await book.noteAlone(report, isWhole: true, begun)
            show(report)
            reports.append(report)
        }
        return reports
    }

    private func run(
        _ name: String, _ pair: PairCheck,
        _ progress: @escaping @Sendable (Verification.Place, ScanProgress) -> Void
    ) async -> CheckReport {
        let place = pair.place(of: name)
        // Nothing may have run here yet.
        do throws(CommandFailure) {
            try DataLayout(configuration).prepare()
        } catch {
            return CheckReport(dataset: name, store: place.store, problem: error.message)
        }
        do throws(StoreError) {
            try await expectWhole(pair)
            let left = try await PairSource(pair.left, of: configuration)
            let right = try await PairSource(pair.right, of: configuration)
            let plan = try PairPlan(name, pair, left, right)
            let stores = OpenStores(
                configuration: configuration, catalogue: configuration.catalogue, isReading: true)
            let one = try left.open(as: plan.schema, stores)
            let other = try right.open(as: plan.schema, stores)
            let comparison = PairComparison(
                plan.schema, in: place.store,
                left: PairSide(pair.left.name(beside: pair.right), one.rows),
                right: PairSide(pair.right.name(beside: pair.left), other.rows),
                tolerance: plan.tolerance, limits: limits)
            let start = ContinuousClock.now
            let report = await comparison.run {
                progress(
                    place,
                    ScanProgress(
                        rows: $0, rowsTotal: nil, elapsed: ContinuousClock.now - start))
            }
            await one.close()
            await other.close()
            // What was not there then may have been about to come.
            if report.outcome != .equal { try await expectWhole(pair) }
            return report
        } catch {
            return CheckReport(dataset: name, store: place.store, problem: error.description)
        }
    }

    /// Rows that opsd itself is about to bring are not missing.
    private func expectWhole(_ pair: PairCheck) async throws(StoreError) {
        for side in [pair.left, pair.right] {
            guard case .dataset(let name) = side.source, side.layout == nil,
                configuration.verifiedPlaces.contains(
                    Verification.Place(dataset: name, store: side.store)),
                let store = OpenStores(
                    configuration: configuration, catalogue: configuration.catalogue,
                    isReading: true
                ).all()[side.store]
            else { continue }
            let outcome: Result<StorePosition, StoreError>
            do throws(StoreError) {
                outcome = .success(try await store.position())
            } catch {
                outcome = .failure(error)
            }
            await store.pooled?.close()
            let position = try outcome.get()
            guard position.journal == nil || position.datasets.contains(name) else {
                throw .unavailable(
                    store: side.store, problem: "\(name) is being filled there: opsd status")
            }
        }
    }
}

extension Configuration {
    /// Every place of which the book has a page.
    var bookedPlaces: [Verification.Place] {
        verifiedPlaces + verify.compactMap { check in check.pair?.place(of: check.name) }
    }
}

extension PairCheck {
    fileprivate func place(of name: String) -> Verification.Place {
        Verification.Place(dataset: name, store: right.store)
    }
}

extension PairCheck.Side {
    /// The store's name, and what lies in it where that alone does not tell the two sides apart.
    fileprivate func name(beside other: PairCheck.Side) -> String {
        guard store == other.store else { return store }
        switch source {
        case .dataset(let name), .table(let name): return "\(store).\(name)"
        }
    }
}
