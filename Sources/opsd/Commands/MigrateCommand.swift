import ArgumentParser
import DualWrite
import Foundation
import Ledger
import StrictYAML
import Trading
import TradingHTTP

/// Has the rows journaled that another program keeps in a store, and brings them to another store.
struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Move another program's rows of a dataset to another store.",
        discussion: """
            Reads the rows as they lie in a store of the dataset's route, has the core journal them, \
            and so brings them to every store of the route. What it replaces is saved first, in \
            data/migrations. At the end source, journal and target are compared. Interrupted, also by \
            kill -9 or by a core that ends, the same command carries on. What cannot be migrated takes \
            everything back that was journaled. The source is not changed; when all of its rows are \
            journaled, opsd takes it over.

            Dates are whole days in the configuration's time zone, both included.

            Exit code 1: source and target differ, or the source goes on changing; 3: a store or the \
            core was away for too long, the same command carries on; 4: something of it cannot be \
            taken, or another migration of this dataset is not over.

            Example: opsd migrate --dataset held_days --from files --to hot --since 2026-01-01
            """)

    @OptionGroup var options: CommonOptions
    @OptionGroup var who: OperatorOptions
    @Option(help: "The dataset.") var dataset: String
    @Option(help: "The store where the rows lie.") var from: String?
    @Option(help: "The store that is to have them, of the dataset's route.") var to: String?
    @Option(help: "Only rows of this day and later: 2026-01-31 or 20260131.") var since: String?
    @Option(help: "Only rows of this day and before.") var until: String?
    @Option(
        name: .customLong("date-field"),
        help: "The field that the dates are of (default: the only timestamp).")
    var dateField: String?
    @Option(help: "How many seconds a core or a store that is away is waited for.") var wait = 60
    @Flag(help: "Leave what was journaled when the rest cannot be migrated.") var keep = false
    @Flag(help: "End a migration of this dataset that is not over, and take it back.")
    var abandon = false
    @Flag(name: .customLong("dry-run"), help: "Say what would be journaled, and do nothing.")
    var dryRun = false

    func run() async throws {
        let configuration = try options.loadConfiguration()
        let settings = try dataset(in: configuration)
        let operatorName = try who.require(configuration)
        guard wait >= 0 else { throw CommandFailure(.badInput, "--wait: a number of seconds") }
        let layout = DataLayout(configuration)
        try layout.prepare()
        let lock = try layout.hold("migrate-\(dataset)")
        defer { withExtendedLifetime(lock) {} }
        let unfinished = try MigrationRecord.unfinished(of: dataset, in: layout.migrations).first
        let wanted = try wanted(settings, unfinished)
        guard let schema = configuration.catalogue[dataset] else { return }
        let isCores = settings.declared == nil
        let dates = try MigrationDates(
            since: wanted.since, until: wanted.until, field: wanted.date_field, of: schema,
            in: configuration.timeZone)
        if isCores, dates != nil {
            throw CommandFailure(
                .badInput,
                "\(dataset) is the trading core's: all of its rows are copied; leave the dates out")
        }
        let stores = OpenStores(configuration: configuration, catalogue: configuration.catalogue)
            .all()
        guard let source = stores[wanted.from], let target = stores[wanted.to] else { return }
        let record =
            if let unfinished, !dryRun { unfinished } else {
                MigrationRecord(wanted, in: layout.migrations, at: .now())
            }
        let core = MigrationCore(configuration, dataset: dataset, patience: .seconds(wait))
        try await core.requireRunning()
        var migration = Migration(
            schema: schema, dates: dates, source: source, target: target, core: core,
            operatorName: operatorName, reason: who.reason, patience: .seconds(wait), isDry: dryRun,
            writesSource: configuration.routeTable[dataset]?.writes.contains(wanted.from) ?? false,
            record: record, progress: MigrationProgress(isJSON: options.json))
        Self.answerInterrupts()
        if unfinished == nil, !dryRun { try migration.record.begin() }
        try migration.record.mend()
        let report = try await MigrationRun(isCores: isCores, keeps: keep, abandons: abandon)
            .perform(&migration)
        for store in [source, target] { await store.pooled?.close() }
        options.show(report.text) { report.write(&$0) }
        guard report.status == .done else { throw CommandFailure(report.status, "") }
    }

    /// Everything that was done is on disk: there is nothing to end.
    private static func answerInterrupts() {
        signal(SIGINT) { _ in
            let text: StaticString = "\ninterrupted: the same command carries on where it stopped\n"
            _ = write(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount)
            _exit(ExitStatus.interrupted.rawValue)
        }
    }

    // MARK: What is asked for

    private func dataset(
        in configuration: Configuration
    ) throws(CommandFailure) -> DatasetSettings {
        let names = configuration.datasets.map(\.name)
        guard let found = configuration.datasets.first(where: { $0.name == dataset }) else {
            throw CommandFailure(
                .badInput,
                "the configuration has no dataset '\(dataset)'; "
                    + NearestName.remedy(for: dataset, in: names, noun: "datasets"))
        }
        guard found.declared?.kind != .cache else {
            throw CommandFailure(.badInput, "\(dataset) is a cache: its rows are not kept")
        }
        return found
    }

    private func wanted(
        _ settings: DatasetSettings, _ unfinished: MigrationRecord?
    ) throws(CommandFailure) -> MigrationState.Wanted {
        if abandon {
            guard let unfinished else {
                throw CommandFailure(.badInput, "no migration of \(dataset) is under way")
            }
            return unfinished.state.wanted
        }
        guard let from, let to else {
            throw CommandFailure(.badInput, "--from STORE and --to STORE are missing")
        }
        for (flag, store) in [("--from", from), ("--to", to)]
        where !settings.stores.contains(store) {
            throw CommandFailure(
                .badInput,
                "\(flag): \(dataset) has no store '\(store)'; "
                    + NearestName.remedy(for: store, in: settings.stores, noun: "its stores"))
        }
        let wanted = MigrationState.Wanted(
            dataset: dataset, from: from, to: to, since: since, until: until, date_field: dateField)
        if let unfinished, unfinished.state.wanted != wanted, !dryRun {
            throw CommandFailure(
                .refused,
                "a migration of \(dataset) is not over. Carry on with it: "
                    + "\(unfinished.state.wanted.command), or take it back: "
                    + "opsd migrate --dataset \(dataset) --abandon")
        }
        return wanted
    }
}
