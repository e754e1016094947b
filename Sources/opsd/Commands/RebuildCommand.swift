import ArgumentParser
import CurlClient
import DualWrite
import Foundation
import Ledger
import Trading
import TradingHTTP

/// Fills a store again from what the core has.
struct RebuildCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild",
        abstract: "Fill a store again from journal and checkpoint.",
        discussion: """
            Empties the store's datasets, all or those named, and copies them anew: after FLUSHALL, \
            for a store that is ahead of the journal or the copy of another one, or whenever a copy is \
            doubted. Everything under the datasets' keys or tables goes, also what others put there. \
            Trading goes on; what is journaled meanwhile follows.

            Example: opsd rebuild hot --dataset positions
            """)

    @OptionGroup var options: CommonOptions
    @OptionGroup var who: OperatorOptions
    @Argument(help: "The store's name in the configuration.") var store: String
    @Option(name: .long, help: "Only this dataset; may be given several times.")
    var dataset: [String] = []
    @Flag(name: .long, help: "Say what would be done, and do nothing.") var dryRun = false

    func run() async throws {
        let configuration = try options.loadConfiguration()
        let routes = configuration.routeTable
        guard configuration.stores.contains(where: { $0.name == store }) else {
            throw CommandFailure(.badInput, "there is no store '\(store)' in the configuration")
        }
        let known = routes.datasets(of: store)
        if let stranger = dataset.first(where: { !known.contains($0) }) {
            throw CommandFailure(.badInput, "no route brings '\(stranger)' to \(store)")
        }
        let wanted = dataset.isEmpty ? known.sorted() : dataset
        guard !wanted.isEmpty else {
            throw CommandFailure(.badInput, "no dataset is written to '\(store)'")
        }
        let body = StoreControl.Rebuild(
            datasets: wanted, operatorName: try who.require(configuration),
            reason: who.reason ?? "no reason given")
        if dryRun {
            return options.show("would rebuild \(store): \(wanted.joined(separator: ", "))") {
                $0.member("store", store)
                $0.member("would", "rebuild")
            }
        }
        let applied = try await rebuild(body, configuration)
        options.show(
            "rebuilt \(store): \(wanted.joined(separator: ", ")), as of entry \(applied)"
        ) { json in
            json.member("store", store)
            json.member("applied_sequence", applied)
        }
    }

    /// What the core answers.
    private struct Done: Decodable {
        let applied_sequence: String?
    }

    private func rebuild(
        _ body: StoreControl.Rebuild, _ configuration: Configuration
    ) async throws -> String {
        let access = CoreAccess(configuration)
        let path = "/control/stores/\(ServiceClient.segment(store))"
        let asked = Task {
            try await access.ask(
                .post, path + "/rebuild", encoding: body, timeout: .seconds(24 * 3_600))
        }
        let watch = Task { await showProgress(access) }
        let answer: ServiceClient.Answer?
        do {
            answer = try await asked.value
            watch.cancel()
        } catch {
            watch.cancel()
            throw error
        }
        if let answer { return try answer.data(Done.self).applied_sequence ?? "unknown" }
        return try await access.withStoppedCore { core in
            let copies = StoreCopies(core, configuration, configuration.catalogue)
            guard let follower = copies.dualWrite[store] else { return "unknown" }
            // The core's own rows are brought up to date by its checkpoint, which does not run here.
            let work = Task { await core.checkpoint.run() }
            let following = Task { await copies.run() }
            defer {
                following.cancel()
                core.checkpoint.stop()
            }
            try await follower.rebuild(Set(body.datasets))
            _ = await follower.reach(core.feed.head, within: .seconds(3_600))
            following.cancel()
            await following.value
            core.checkpoint.stop()
            await work.value
            return follower.state.applied?.description ?? "unknown"
        }
    }

    private struct Progress: Decodable {
        let name: String
        let rows_done: Int?
        let rows_total: Int?
    }

    /// A line every two seconds while rows are copied.
    private func showProgress(_ access: CoreAccess) async {
        let start = ContinuousClock.now
        while !Task.isCancelled {
            do { try await Task.sleep(for: .seconds(2)) } catch { return }
            guard let answer = try? await access.ask(.get, "/control/stores"),
                let stores = try? answer.data([Progress].self),
                let mine = stores.first(where: { $0.name == store }),
                let done = mine.rows_done, let total = mine.rows_total, done > 0, !options.json
            else { continue }
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            let left = Int(seconds / Double(done) * Double(max(0, total - done)))
            FileHandle.standardError.write(
                Data("\(done) of \(total) rows, about \(left) s left\n".utf8))
        }
    }
}
