import Foundation
import Ledger
import TradingHTTP

/// The steps of a migration in their order, and what becomes of it when one of them fails.
struct MigrationRun {
    /// The rows are the trading core's: the journal is where they come from.
    let isCores: Bool
    let keeps: Bool
    let abandons: Bool

    func perform(_ migration: inout Migration) async throws -> MigrationReport {
        let clock = ContinuousClock.now
        var report = MigrationReport(isDry: migration.isDry)
        if abandons || migration.record.state.phase == .undoing {
            if abandons, keeps {
                try await migration.finish()
            } else {
                guard let outcome = try await migration.undo() else {
                    throw CommandFailure(.refused, Self.whyNotUndone(migration))
                }
                report.undone = outcome
                report.status = abandons ? .done : .found
            }
            report.take(migration.record, seconds: 0)
            return report
        }
        do {
            try await carryOut(&migration, &report)
        } catch let failure as CommandFailure
            where failure.status == .refused || failure.status == .badInput
        {
            migration.progress.end()
            guard !keeps, !migration.isDry else { throw failure }
            let words =
                if let outcome = try await migration.undo() {
                    MigrationReport.words(outcome) + "; nothing is migrated"
                } else { Self.whyNotUndone(migration) }
            throw CommandFailure(failure.status, failure.message + "\n" + words)
        } catch let failure as CommandFailure where failure.status == .unknown {
            migration.progress.end()
            throw CommandFailure(
                .unknown,
                failure.message + "\nwhat is done is done; the same command carries on: "
                    + migration.record.state.wanted.command)
        }
        migration.progress.end()
        report.take(migration.record, seconds: (ContinuousClock.now - clock) / .seconds(1))
        return report
    }

    private func carryOut(
        _ migration: inout Migration, _ report: inout MigrationReport
    ) async throws {
        let wanted = migration.record.state.wanted
        if !isCores { try await migration.carry() }
        if migration.isDry { return }
        guard try await migration.deliver() else {
            report.status = .found
            report.isSourceLeft = true
            return try await migration.finish()
        }
        let agreed = try await migration.core.agree(with: wanted.to)
        report.compared = agreed.rows
        if let difference = agreed.difference {
            report.status = .found
            report.difference = difference
            // Of these nothing was journaled.
            if isCores { return try await migration.finish() }
            if keeps { return }
            report.undone = try await migration.undo()
            if report.undone == nil { report.advice = Self.whyNotUndone(migration) }
            return
        }
        if migration.writesSource, wanted.from != wanted.to {
            report.isSourceLeft = try await !migration.takeOver(wanted.from)
        }
        try await migration.finish()
    }

    /// A source that opsd writes already would lose the rows that are taken back.
    private static func whyNotUndone(_ migration: Migration) -> String {
        let wanted = migration.record.state.wanted
        return "opsd writes \(wanted.from) by now, and taking the rows back would take them out "
            + "there: nothing is taken back. Carry on: \(wanted.command), or leave it as it is: "
            + "opsd migrate --dataset \(wanted.dataset) --abandon --keep"
    }
}

/// How a migration went, for people and for programs.
struct MigrationReport {
    let isDry: Bool
    var status = ExitStatus.done
    private var state: MigrationState?
    private var folder = ""
    private var seconds = 0.0
    /// Rows of the dataset that were compared between journal and target.
    var compared: Int?
    var difference: String?
    var undone: Migration.Undone?
    /// What to do where it was not taken back.
    var advice: String?
    /// Rows outside of the dates lie in the source yet.
    var isSourceLeft = false

    init(isDry: Bool) {
        self.isDry = isDry
    }

    mutating func take(_ record: MigrationRecord, seconds: Double) {
        state = record.state
        folder = record.folder
        self.seconds = seconds
    }

    static func words(_ outcome: Migration.Undone) -> String {
        let left =
            outcome.left == 0 ? "" : ", and \(outcome.left) left that were not as it left them"
        return "\(outcome.undone) rows were taken back\(left)"
    }

    private var headline: String {
        guard let wanted = state?.wanted else { return "" }
        let what = "\(wanted.dataset) from \(wanted.from) to \(wanted.to)"
        if isDry { return "would migrate \(what)" }
        if undone != nil { return "took the migration of \(what) back" }
        return difference == nil ? "migrated \(what)" : "\(what): not equal"
    }

    var text: String {
        guard let state else { return "" }
        let counts = state.counts
        let would = isDry ? "to journal" : "journaled"
        var lines = [headline]
        func add(_ name: String, _ value: String) {
            lines.append("  " + name.padding(toLength: 14, withPad: " ", startingAt: 0) + value)
        }
        add("rows read", "\(counts.read), \(counts.skipped) of them of other days")
        add(
            would,
            "\(counts.journaled): \(counts.created) new, \(counts.replaced) in place of others")
        add("equal already", "\(counts.equal)")
        if counts.outdated > 0 {
            add("outdated", "\(counts.outdated), which the journal has newer")
        }
        if let compared {
            add("compared", "\(compared) rows of the journal with \(state.wanted.to)")
        }
        if let difference { add("differs", difference) }
        if let undone { add("taken back", Self.words(undone)) }
        add("digest", state.digest)
        let speed = seconds > 0 ? Double(counts.bytes) / seconds / 1_000_000 : 0
        add(
            "size and time",
            String(
                format: "%.1f MB in %.1f s, %.2f MB/s", Double(counts.bytes) / 1_000_000, seconds,
                speed))
        if counts.replaced > 0, !isDry { add("saved", folder + "/before.jsonl") }
        let overwritten = folder + "/overwritten.jsonl"
        if FileManager.default.fileExists(atPath: overwritten) {
            add("taken out", "what \(state.wanted.to) had of its own is in \(overwritten)")
        }
        if let advice { lines.append(advice) }
        if isSourceLeft {
            lines.append(
                "\(state.wanted.from) has rows that the journal does not have, of other days or "
                    + "written meanwhile, so opsd does not write \(state.wanted.dataset) there: "
                    + "migrate them too")
        }
        return lines.joined(separator: "\n")
    }

    func write(_ json: inout JSONWriter) {
        guard let state else { return }
        json.member("migration", state.id)
        json.member("dataset", state.wanted.dataset)
        json.member("from", state.wanted.from)
        json.member("to", state.wanted.to)
        json.member("phase", isDry ? "dry_run" : state.phase.rawValue)
        json.member("rows_read", state.counts.read)
        json.member("rows_skipped", state.counts.skipped)
        json.member("rows_journaled", state.counts.journaled)
        json.member("rows_created", state.counts.created)
        json.member("rows_replaced", state.counts.replaced)
        json.member("rows_equal", state.counts.equal)
        json.member("rows_outdated", state.counts.outdated)
        if let compared { json.member("rows_compared", compared) }
        json.member("difference", difference)
        if let undone { json.member("rows_taken_back", undone.undone) }
        json.member("digest", state.digest)
        json.member("bytes", state.counts.bytes)
        json.member("milliseconds", Int(seconds * 1_000))
        json.member("folder", folder)
        json.member("source_left", isSourceLeft)
    }
}
