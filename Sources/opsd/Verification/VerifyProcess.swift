import Control
import Foundation
import Ledger
import Logging
import ServiceLifecycle
import UnixSignals
import Verify

/// `opsd verify --follow` as the built-in service: what changes is compared as soon as a store has it, and
/// all rows again and again.
struct VerifyProcess {
    let configuration: Configuration

    func run() async throws {
        ProcessLimits.forbidCoreDumps()
        ProcessLimits.raiseOpenFiles()
        let registry = Telemetry.bootstrap(process: "verify", descriptions: [])
        let layout = DataLayout(configuration)
        try layout.prepare()
        let lock = try layout.hold("verify")
        defer { withExtendedLifetime(lock) {} }
        let logger = Logger(label: "verify")
        let isUp = AtomicFlag()
        let control = ControlServer(
            socketPath: layout.socket(of: BuiltinService.verify.rawValue), registry: registry,
            readiness: { isUp.isSet ? nil : "there is no journal to compare with yet" })
        let watch = VerifyWatch(configuration: configuration, logger: logger)
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(service: TaskService { await watch.run { isUp.set() } }),
                    .init(service: control.application()),
                ], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
    }
}

/// The work of the service: every dataset of a check in every store of its own, none waiting for another.
struct VerifyWatch {
    let configuration: Configuration
    let logger: Logger

    private static let flushPause = Duration.seconds(2)

    /// Until the task is cancelled; tried again while there is no journal.
    func run(_ isUp: @escaping @Sendable () -> Void) async {
        var problem: String?
        while !Task.isCancelled {
            do throws(StoreError) {
                let journal = try await JournalView(
                    DataLayout(configuration), configuration.catalogue)
                isUp()
                try await watch(journal)
            } catch {
                if error.description != problem { logger.warning("\(error)") }
                problem = error.description
            }
            try? await Task.sleep(for: .seconds(1))
        }
    }

    private func watch(_ journal: JournalView) async throws(StoreError) {
        let layout = DataLayout(configuration)
        do throws(FileWriteError) {
            try PrivateFile.makeDirectory(layout.verify)
        } catch {
            throw .unavailable(store: layout.verify, problem: error.description)
        }
        let progress = VerificationProgress(layout, journal: journal.identity)
        let (following, scrubbing) = (openStores(), openStores())
        var watches: [(PlaceWatch, SequenceNumber)] = []
        let head = try await journal.head()
        for check in configuration.verify {
            guard let dataset = check.dataset, let schema = configuration.catalogue[dataset.dataset]
            else { continue }
            for place in configuration.verifiedPlaces where place.dataset == dataset.dataset {
                guard let followed = following[place.store], let scrubbed = scrubbing[place.store]
                else { continue }
                let start = try await start(of: place, progress, journal, head)
                let watch = PlaceWatch(
                    place, dataset, cycle: check.every ?? VerifySettings.usualCycle,
                    following: StoreCheck(
                        schema, in: place.store, followed, against: journal, limits: limits),
                    scrubbing: StoreCheck(
                        schema, in: place.store, scrubbed, against: journal, limits: limits),
                    progress: progress,
                    page: PlacePage(place, VerificationBook(layout), logger), logger: logger,
                    repair: repair(of: dataset, journal))
                watches.append((watch, start))
            }
        }
        await progress.keepOnly(watches.map(\.0.place))
        await withDiscardingTaskGroup { group in
            for (watch, start) in watches { group.addTask { await watch.run(after: start) } }
            group.addTask {
                var problem: String?
                while !Task.isCancelled {
                    try? await Task.sleep(for: Self.flushPause)
                    problem = await flush(progress, problem)
                }
            }
        }
        _ = await flush(progress, nil)
        for store in following.values { await store.pooled?.close() }
        for store in scrubbing.values { await store.pooled?.close() }
    }

    /// Nil where the check wants nothing of it.
    private func repair(of check: DatasetCheck, _ journal: JournalView) -> PlaceWatch.Repair? {
        guard check.repair != .none else { return nil }
        let desk = RepairDesk(configuration, journal: journal)
        let wish = RepairDesk.wish(for: check.dataset, in: configuration)
        return { report in
            switch await desk.consider(report, wish) {
            case .nothing: "nothing of what was found can be put right by a plan"
            case .known(let line): line.text
            case .filed(let id): "\(id) waits: no core runs, and it is the core that repairs"
            // Whether anything was done is not known: it is handed in again.
            case .failed: nil
            }
        }
    }

    private func openStores() -> [String: LateStore] {
        OpenStores(
            configuration: configuration, catalogue: configuration.catalogue, isReading: true
        ).all()
    }

    private var limits: StoreCheck.Limits {
        var limits = StoreCheck.Limits()
        limits.directory = configuration.dataDirectory
        return limits
    }

    /// Where this service, or the one before it, stood; the journal's end where nothing is known of that.
    private func start(
        of place: Verification.Place, _ progress: VerificationProgress, _ journal: JournalView,
        _ head: SequenceNumber
    ) async throws(StoreError) -> SequenceNumber {
        guard let followed = await progress[place]?.followed else { return head }
        let start = SequenceNumber(rawValue: followed)
        guard start <= head else { return head }
        if try await journal.reachesBack(to: start) { return start }
        logger.warning(
            """
            \(place.dataset) in \(place.store): the journal does not reach back to entry \(start), \
            where it was followed to: all rows are read anew
            """)
        await progress.update(place) { $0?.begun = 0 }
        return head
    }

    private func flush(_ progress: VerificationProgress, _ before: String?) async -> String? {
        do throws(FileWriteError) {
            try await progress.flush()
            if before != nil { logger.notice("where it stands is written down again") }
            return nil
        } catch {
            if before == nil { logger.error("\(error)") }
            return error.description
        }
    }
}
