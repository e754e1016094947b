import DualWrite
import Foundation
import Ledger
import Verify

/// The checks of one command: datasets in stores against the journal.
struct Verification {
    struct Place: Hashable {
        let dataset: String
        let store: String
    }

    private let stores: [String: LateStore]
    private let journal: JournalView
    private let checks: [StoreCheck]
    private let book: VerificationBook

    private static let followPause = Duration.milliseconds(100)

    init(
        _ configuration: Configuration, _ places: [Place], _ limits: StoreCheck.Limits
    ) async throws(CommandFailure) {
        let catalogue = configuration.catalogue
        stores = OpenStores(
            configuration: configuration, catalogue: catalogue, isReading: true
        ).all()
        do {
            journal = try await JournalView(DataLayout(configuration), catalogue)
        } catch {
            throw CommandFailure(.unknown, error.description)
        }
        var checks: [StoreCheck] = []
        for place in places {
            guard let schema = catalogue[place.dataset], let store = stores[place.store] else {
                continue
            }
            checks.append(
                StoreCheck(schema, in: place.store, store, against: journal, limits: limits))
        }
        self.checks = checks
        book = VerificationBook(DataLayout(configuration))
    }

    func close() async {
        for store in stores.values { await store.pooled?.close() }
    }

    /// Two at a time: a store that is read has its server wait for this side as often as not.
    /// - Parameter show: is given the reports in the order of the checks.
    func full(
        progress: @escaping @Sendable (Place, Int) -> Void, show: (CheckReport) -> Void
    ) async -> [CheckReport] {
        var reports: [CheckReport] = []
        await withTaskGroup(of: (Int, CheckReport).self) { group in
            var done: [Int: CheckReport] = [:]
            for index in checks.indices {
                if index >= Self.fullAtOnce, let (index, report) = await group.next() {
                    done[index] = report
                }
                group.addTask { (index, await full(checks[index], progress)) }
                while let report = done.removeValue(forKey: reports.count) {
                    show(report)
                    reports.append(report)
                }
            }
            for await (index, report) in group { done[index] = report }
            for (_, report) in done.sorted(by: { $0.key < $1.key }) {
                show(report)
                reports.append(report)
            }
        }
        return reports
    }

    private func full(
        _ check: StoreCheck, _ progress: @escaping @Sendable (Place, Int) -> Void
    ) async -> CheckReport {
        let place = Place(dataset: check.schema.dataset, store: check.name)
        let begun = Timestamp.now()
        let report = await check.full { progress(place, $0) }
        await book.noteAlone(report, isWhole: true, begun)
        return report
    }

    private static let fullAtOnce = 2

    func recent(
        after sequence: SequenceNumber, show: (CheckReport) -> Void
    ) async -> [CheckReport] {
        var reports: [CheckReport] = []
        for check in checks {
            let begun = Timestamp.now()
            let report = await check.recent(after: sequence)
            await book.noteAlone(report, isWhole: false, begun)
            show(report)
            reports.append(report)
        }
        return reports
    }

    /// The journal's last entry.
    func head() async throws(CommandFailure) -> SequenceNumber {
        do {
            return try await journal.head()
        } catch {
            throw CommandFailure(.unknown, error.description)
        }
    }

    /// Each change, in every store on its own, until the task is cancelled.
    func follow(
        _ writer: VerificationWriter
    ) async throws(CommandFailure) {
        let start = try await head()
        await withDiscardingTaskGroup { group in
            for check in checks {
                group.addTask {
                    let place = Place(dataset: check.schema.dataset, store: check.name)
                    var follower = ChangeFollower(check, after: start)
                    var problem: String?
                    while !Task.isCancelled {
                        let step = await follower.step()
                        writer.show(step, at: place)
                        if step.problem != problem { writer.show(problem: step.problem, at: place) }
                        problem = step.problem
                        try? await Task.sleep(for: Self.followPause)
                    }
                }
            }
        }
    }
}

extension Configuration {
    /// Every dataset in every store that its route writes.
    var verifiedPlaces: [Verification.Place] {
        routeTable.routes.sorted { $0.key < $1.key }.flatMap { dataset, route in
            route.writes.map { Verification.Place(dataset: dataset, store: $0) }
        }
    }
}
