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
    let journal: JournalView
    let checks: [StoreCheck]
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
        progress: @escaping @Sendable (Place, ScanProgress) -> Void, show: (CheckReport) -> Void
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
        _ check: StoreCheck, _ progress: @escaping @Sendable (Place, ScanProgress) -> Void
    ) async -> CheckReport {
        let place = Place(dataset: check.schema.dataset, store: check.name)
        let begun = Timestamp.now()
        let start = ContinuousClock.now
        let total = try? await check.journaledCount()
        let report = await check.full {
            progress(
                place,
                ScanProgress(rows: $0, rowsTotal: total, elapsed: ContinuousClock.now - start))
        }
        await note(report, isWhole: true, begun)
        return report
    }

    private static let fullAtOnce = 2

    func recent(
        after sequence: SequenceNumber, show: (CheckReport) -> Void
    ) async -> [CheckReport] {
        await part(show) { await $0.recent(after: sequence) }
    }

    /// What changed since each store was proven last, and the store's own digests.
    func warm(show: (CheckReport) -> Void) async -> [CheckReport] {
        let proven = Dictionary(
            book.pages(of: places).map { (Place(dataset: $0.dataset, store: $0.store), $0) },
            uniquingKeysWith: { first, _ in first })
        return await part(show) { check in
            let place = Place(dataset: check.schema.dataset, store: check.name)
            guard let sequence = proven[place]?.provenSequence else {
                var report = CheckReport(dataset: place.dataset, store: place.store)
                report.fail(
                    "it was never found whole: 'opsd verify \(place.dataset) --store \(place.store)' "
                        + "reads all of it")
                return report
            }
            return await check.warm(after: SequenceNumber(rawValue: sequence))
        }
    }

    /// So many rows, chosen by chance, in each store.
    func sample(_ count: Int, show: (CheckReport) -> Void) async -> [CheckReport] {
        await part(show) { await $0.sample(count) }
    }

    private func part(
        _ show: (CheckReport) -> Void, _ look: (StoreCheck) async -> CheckReport
    ) async -> [CheckReport] {
        var reports: [CheckReport] = []
        for check in checks {
            let begun = Timestamp.now()
            let report = await look(check)
            await note(report, isWhole: false, begun)
            show(report)
            reports.append(report)
        }
        return reports
    }

    private var places: [Place] {
        checks.map { Place(dataset: $0.schema.dataset, store: $0.name) }
    }

    /// What these reports, of everything, are to be believed of.
    func certificate(
        of reports: [CheckReport], openReviews: [String]
    ) async throws(CommandFailure) -> Certificate {
        let proven = book.pages(of: places)
        let now = Timestamp.now()
        do {
            return Certificate(
                of: try await journal.headPlace(),
                reports.map { report in
                    let page = proven.first {
                        $0.dataset == report.dataset && $0.store == report.store
                    }
                    return Certificate.Copy(
                        report, provenAt: page?.provenAt.map { Timestamp(microseconds: $0) },
                        at: now)
                }, openReviews: openReviews, at: now)
        } catch {
            throw CommandFailure(.unknown, error.description)
        }
    }

    func note(_ report: CheckReport, isWhole: Bool, _ begun: Timestamp) async {
        await book.noteAlone(report, isWhole: isWhole, begun)
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

/// How far the reading of one store is.
struct ScanProgress: Sendable {
    let rows: Int
    /// About; nil where it is not known.
    let rowsTotal: Int?
    let elapsed: Duration

    /// At the pace so far; nil where nothing tells it.
    var remaining: Duration? {
        guard let rowsTotal, rows > 0 else { return nil }
        return elapsed * (Double(max(0, rowsTotal - rows)) / Double(rows))
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
