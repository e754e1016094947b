import ArgumentParser
import DualWrite
import Foundation
import Ledger
import StrictYAML
import Verify

/// Compares the stores with the journal.
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Compare the stores with what was journaled, row by row.",
        discussion: """
            Reads every row of the named datasets (all that are in a store, when none is named) in each \
            of their stores, adds up their digests, and compares them with those that the journal \
            carries; where they differ, it finds the rows. Rows that change meanwhile are looked at one \
            by one. Nothing is written, and the core need not run.

            Each difference has a verdict: corrupt, missing, rogue (nobody journaled it), ahead (of an \
            entry that the journal has not), lag (not there after --deadline), unknown (it could not be \
            read).

            With --repair what differs is put right by the core: see opsd repair --help.

            A check of two stores compares these with each other, whoever writes them: missing, rogue and \
            corrupt say how the right side is not as the left one, and a difference counts when it stays \
            for --deadline.

            Exit code 0: all is as journaled, or was put right. 1: something is not. 3: it could not be told.

            Example: opsd verify positions --store hot --json
            """)

    @OptionGroup var options: CommonOptions
    @OptionGroup var service: ServiceOptions
    @Argument(
        help:
            "Checks of the configuration, or datasets; all datasets in a store, when none is named."
    )
    var names: [String] = []
    @Option(help: "Only this store; may be given several times.") var store: [String] = []
    @Flag(help: "Read everything; so it does without --since and --follow too.") var full = false
    @Option(
        help: """
            Only rows that changed after this entry: a sequence number, or EPOCH-NUMBER; 'last': since each \
            store was read as a whole, and the digests that the stores keep.
            """)
    var since: String?
    @Option(help: "Only so many rows, chosen by chance.") var sample: Int?
    @Flag(help: "Go on, with what changes, until interrupted.") var follow = false
    @Option(
        help: """
            What is done about differences: none; plan (a plan is made, and waits); auto (and carried \
            out within the budget of the check).
            """)
    var repair = RepairMode.none
    @Option(help: "Print so many differences at most of each dataset and store.") var limit = 100
    @Option(help: "How long a row may lag, in seconds.") var deadline = 10
    @Option(name: .long, help: "Read no more than so many rows of a store a second.")
    var rowsPerSecond: Int?

    @Option(
        help: "Write a signed statement of what was found to this file.", completion: .file())
    var certificate: String?
    @Option(
        help: "Only say what such a file states, and whether it was signed here.",
        completion: .file())
    var checkCertificate: String?

    func validate() throws {
        guard [full, since != nil, follow, sample != nil].count(where: { $0 }) <= 1 else {
            throw ValidationError("--full, --since, --sample and --follow exclude each other")
        }
        guard certificate == nil || since == nil && sample == nil && !follow else {
            throw ValidationError(
                "--certificate is of everything: leave --since, --sample and --follow out")
        }
        if let sample, sample < 1 {
            throw ValidationError("--sample: write a number of rows of at least 1")
        }
        guard (0...10_000).contains(limit) else {
            throw ValidationError("--limit: write a number from 0 to 10000")
        }
        guard (0...86_400).contains(deadline) else {
            throw ValidationError("--deadline: write seconds from 0 to 86400")
        }
        if follow, repair != .none {
            throw ValidationError("--repair and --follow exclude each other")
        }
        if let rowsPerSecond, rowsPerSecond < 1 {
            throw ValidationError("--rows-per-second: write a number of at least 1")
        }
    }

    func run() async throws {
        let configuration = try await options.loadConfiguration(supervisor: service.supervisor)
        if follow, service.supervisor != nil {
            return try await VerifyProcess(configuration: configuration).run()
        }
        let writer = VerificationWriter(isJSON: options.json, limit: limit)
        if let checkCertificate {
            return try check(checkCertificate, configuration, writer)
        }
        let pairs = try pairs(configuration)
        let places = try places(configuration, besides: pairs)
        var reports: [CheckReport] = []
        if !places.isEmpty { reports = try await compare(places, configuration, writer) }
        if follow { return }
        reports += await PairVerification(
            configuration: configuration, checks: pairs, limits: limits(configuration)
        ).run(progress: writer.showProgress, show: writer.show)
        writer.showResult(reports)
        let outcomes = reports.map(\.outcome)
        if outcomes.contains(.found) { throw CommandFailure(.found, "") }
        if outcomes.contains(.unknown) { throw CommandFailure(.unknown, "") }
    }

    /// Stores with the journal.
    private func compare(
        _ places: [Verification.Place], _ configuration: Configuration,
        _ writer: VerificationWriter
    ) async throws -> [CheckReport] {
        let run = try await Verification(configuration, places, limits(configuration))
        if follow {
            try await run.follow(writer)
            return []
        }
        let begun = Timestamp.now()
        var reports: [CheckReport]
        if since == "last" {
            reports = await run.warm(show: writer.show)
        } else if let sample {
            reports = await run.sample(sample, show: writer.show)
        } else if let since {
            guard let start = SequenceNumber(since) else {
                throw CommandFailure(
                    .badInput,
                    "--since: '\(since)' is no sequence number; write 1099511627818, 1-42 or last")
            }
            let head = try await run.head()
            guard start <= head else {
                throw CommandFailure(
                    .badInput, "--since: the journal ends at entry \(head), before \(since)")
            }
            reports = await run.recent(after: start, show: writer.show)
        } else {
            reports = await run.full(progress: writer.showProgress, show: writer.show)
        }
        if repair != .none {
            reports = await run.repair(
                reports, repair, configuration, isWhole: since == nil && sample == nil, begun,
                writer)
        }
        if let certificate {
            try SignedCertificate.write(
                try await run.certificate(
                    of: reports, openReviews: try await RepairPath.open(configuration)),
                to: certificate, with: try CertificateKey(DataLayout(configuration)))
        }
        await run.close()
        return reports
    }

    private func check(
        _ path: String, _ configuration: Configuration, _ writer: VerificationWriter
    ) throws(CommandFailure) {
        let signed = try SignedCertificate(reading: path)
        let key = try CertificateKey.existing(DataLayout(configuration))?.publicKey
        writer.show(signed, key: key)
        guard signed.isIntact, signed.publicKey == key, signed.certificate.doubts.isEmpty else {
            throw CommandFailure(.found, "")
        }
    }

    private func limits(_ configuration: Configuration) -> StoreCheck.Limits {
        var limits = StoreCheck.Limits()
        limits.deadline = .seconds(deadline)
        limits.rowsPerSecond = rowsPerSecond
        limits.directory = configuration.dataDirectory
        return limits
    }

    /// Which stores are compared with each other: those that are named, or all where nothing is.
    private func pairs(_ configuration: Configuration) throws -> [VerifySettings] {
        let all = configuration.verify.filter { $0.pair != nil }
        let isWhole =
            since == nil && sample == nil && !follow && store.isEmpty && repair == .none
            && certificate == nil
        if names.isEmpty { return isWhole ? all : [] }
        let named = all.filter { names.contains($0.name) }
        guard isWhole || named.isEmpty else {
            throw CommandFailure(
                .badInput,
                "check '\(named[0].name)' compares two stores, each time all of them, and writes "
                    + "neither: leave out --since, --sample, --follow, --store, --repair and "
                    + "--certificate")
        }
        return named
    }

    /// Which datasets are compared in which stores.
    private func places(
        _ configuration: Configuration, besides pairs: [VerifySettings]
    ) throws -> [Verification.Place] {
        let routes = configuration.routeTable.routes
        let nearest = { (name: String, known: [String]) in
            NearestName.nearest(to: name, in: known).map { "; did you mean '\($0)'?" } ?? ""
        }
        let checks = Dictionary(
            configuration.verify.map { ($0.name, $0.dataset?.dataset) },
            uniquingKeysWith: { first, _ in first })
        let others = names.filter { name in !pairs.contains { $0.name == name } }
        if others.isEmpty, !names.isEmpty { return [] }
        let names = try others.map { name throws(CommandFailure) in
            if case let dataset?? = checks[name] { return dataset }
            guard routes[name] == nil else { return name }
            let known = Array(checks.keys) + Array(routes.keys)
            throw CommandFailure(
                .badInput,
                "no check is called '\(name)', and no dataset '\(name)' is in a store"
                    + nearest(name, Set(known).sorted()))
        }
        let stores = configuration.stores.map(\.name)
        for name in store where !stores.contains(name) {
            throw CommandFailure(
                .badInput, "there is no store '\(name)'\(nearest(name, stores))")
        }
        let places = configuration.verifiedPlaces.filter {
            (names.isEmpty || names.contains($0.dataset))
                && (store.isEmpty || store.contains($0.store))
        }
        guard !places.isEmpty || !pairs.isEmpty else {
            throw CommandFailure(
                .badInput,
                routes.isEmpty
                    ? "the configuration brings no dataset to a store: there is nothing to compare"
                    : "none of these datasets is in one of these stores")
        }
        return places
    }
}
