import Foundation
import Ledger
import Trading

/// One migration, from where its record says that it is to its end.
///
///     pass: read a page → compare with the core → note what was before → have it journaled → note where
///     … until a pass finds nothing to journal → stores take their rows over → compare → report
///
/// Each step may be done twice. So nothing has to be told to whoever ends the process.
struct Migration {
    let schema: Schema
    let dates: MigrationDates?
    let source: any RowStore
    let target: any RowStore
    let core: MigrationCore
    let operatorName: String
    let reason: String?
    let patience: Duration
    let isDry: Bool
    var record: MigrationRecord
    var progress: MigrationProgress

    /// A store that cannot search by itself reads everything for each page.
    private static let pageRows = 10_000
    /// What one entry has at most: trading waits while it is decided.
    private static let entryRows = 500
    /// A source that goes on changing is not waited for for ever.
    private static let passesMax = 4
    /// So that two runs over the same rows have the same digest.
    private static let digestKey = SipHashKey(low: 0x6F70_7364, high: 0x6D69_6772_6174_65)

    private var wanted: MigrationState.Wanted { record.state.wanted }
    private var actor: String {
        "\(operatorName), migration \(record.state.id)" + (reason.map { ": \($0)" } ?? "")
    }

    // MARK: Reading and journaling

    /// Until the core has the source's rows. Throws `found` when the source changes all the time.
    mutating func carry() async throws {
        let total = try await patiently {
            try await source.count(RowQuery(dataset: schema.dataset))
        }
        // What lies before the place where an earlier run ended may have changed since then.
        var isWhole = record.state.cursor == nil
        for number in 1... {
            try await pass(total)
            let journaled = record.state.journaledInPass
            if isDry || isWhole && journaled == 0 { return }
            isWhole = true
            guard number < Self.passesMax else {
                throw CommandFailure(
                    .found,
                    "\(wanted.from) goes on changing: the last pass found \(journaled) rows to journal. "
                        + "Stop the program that writes there, then: \(wanted.command)")
            }
            try update { state in
                state.pass += 1
                state.journaledInPass = 0
                (state.counts.read, state.counts.skipped, state.counts.bytes) = (0, 0, 0)
                state.digest = Digest.empty.description
                state.cursor = nil
            }
        }
    }

    private mutating func pass(_ total: Int) async throws {
        var query = RowQuery(dataset: schema.dataset)
        query.limit = Self.pageRows
        query.afterKey = try record.state.cursor.map { try Row(encoded: Array($0)).values }
        while true {
            let asked = query
            let page = try await patiently { try await source.rows(asked) }
            guard let last = page.last else { return }
            for start in stride(from: 0, to: page.count, by: Self.entryRows) {
                try await take(Array(page[start..<min(page.count, start + Self.entryRows)]))
                let state = record.state
                progress.show(
                    state.counts.read, of: total,
                    state.pass == 1 ? "reading" : "looking again")
            }
            query.afterKey = last.row.key(in: schema).values
        }
    }

    private mutating func take(_ rows: [StampedRow]) async throws {
        var chosen: [StampedRow] = []
        for row in rows where try dates?.contain(row.row) ?? true { chosen.append(row) }
        let done = try await journal(chosen)
        let cursor = rows.last.map { stamped in
            let key = stamped.row.key(in: schema)
            return Data(
                Row(dataset: key.dataset, values: key.values).encoded(keyCount: schema.keyCount))
        }
        let keyCount = schema.keyCount
        try update { state in
            state.cursor = cursor
            state.counts.read += rows.count
            state.counts.skipped += rows.count - chosen.count
            // Later passes find what this one has journaled.
            if state.pass == 1 {
                state.counts.equal += done.equal
                state.counts.outdated += done.outdated
            }
            state.counts.created += done.created
            state.counts.replaced += done.replaced
            state.journaledInPass += done.created + done.replaced
            var digest = Digest(state.digest) ?? .empty
            for stamped in chosen {
                let bytes = stamped.row.encoded(keyCount: keyCount)
                state.counts.bytes += bytes.count
                digest.add(Self.digestKey.hash(bytes))
            }
            state.digest = digest.description
        }
    }

    private struct Done {
        var equal = 0
        var outdated = 0
        var created = 0
        var replaced = 0
    }

    private func journal(_ rows: [StampedRow]) async throws -> Done {
        while !rows.isEmpty {
            let comparison = try await core.compare(rows, schema)
            var done = Done(equal: comparison.equal, outdated: comparison.outdated)
            done.created = comparison.changes.count { $0.known == nil }
            done.replaced = comparison.changes.count - done.created
            if comparison.changes.isEmpty || isDry { return done }
            var notes: [(before: Row?, after: Row)] = []
            var sent: [MigrationControl.SentRow] = []
            for change in comparison.changes {
                let row = rows[change.place].row
                let before = try change.before.map {
                    schema.completed(try Row(encoded: Array($0)))
                }
                notes.append((before, row))
                sent.append(
                    .init(row: Data(row.encoded(keyCount: schema.keyCount)), sequence: change.known)
                )
            }
            try record.note(notes, of: schema)
            if try await !core.write(.init(actor: actor, rows: sent)).moved { return done }
        }
        return Done()
    }

    // MARK: Stores

    /// Until the target has the rows. What another program had there, and the core has not, is saved first.
    /// - Returns: false when the target is the source itself and has rows that the core has not: of other
    ///   days, or written meanwhile. Nothing is done to them.
    mutating func deliver() async throws -> Bool {
        try await takeOver(wanted.to)
        if try await core.isKeptOut(of: wanted.to) {
            guard wanted.from != wanted.to else { return false }
            try await saveOverwritten()
            try await core.rebuild(wanted.to, by: operatorName)
        }
        try await core.untilFollowing(wanted.to)
        return true
    }

    /// Has a store take over the rows that lie there and that the core has by now.
    mutating func takeOver(_ store: String) async throws {
        let isDone = AtomicFlag()
        let work = Task { [core] in
            defer { isDone.set() }
            try await core.look(at: store)
        }
        while !isDone.isSet {
            try? await Task.sleep(for: .milliseconds(100))
            guard let now = try? await core.store(store), let rows = now.rows_done,
                let total = now.rows_total
            else { continue }
            progress.show(rows, of: total, "stamping \(store)")
        }
        try await work.value
    }

    /// Behind what an earlier attempt has saved, which may have taken out a part of it.
    private func saveOverwritten() async throws {
        var query = RowQuery(dataset: schema.dataset)
        query.limit = Self.pageRows
        while true {
            let asked = query
            let page = try await patiently { try await target.rows(asked) }
            guard let last = page.last else { return }
            try record.save(page.filter { $0.sequence == .none }.map(\.row), of: schema)
            query.afterKey = last.row.key(in: schema).values
        }
    }

    // MARK: Taking back

    /// Takes back what it journaled, of each row that nobody has written since.
    mutating func undo() async throws -> (undone: Int, left: Int) {
        try update { $0.phase = .undoing }
        var (undone, noted) = (0, 0)
        let (core, actor, schema) = (core, actor, schema)
        try await record.eachNoteBackwards(Self.entryRows, of: schema) { notes in
            let pairs = notes.map { note in
                MigrationControl.Undo.Pair(
                    before: note.before.map { Data($0.encoded(keyCount: schema.keyCount)) },
                    after: Data(note.after.encoded(keyCount: schema.keyCount)))
            }
            undone += try await core.undo(.init(actor: actor, pairs: pairs))
            noted += notes.count
        }
        try update { $0.phase = .undone }
        return (undone, noted - undone)
    }

    mutating func finish() throws {
        try update { $0.phase = .done }
    }

    // MARK: -

    private mutating func update(_ change: (inout MigrationState) -> Void) throws {
        try record.update(isDurable: !isDry, change)
    }

    /// A store that is away is waited for.
    private func patiently<Result>(
        _ ask: () async throws -> Result
    ) async throws -> Result {
        let deadline = ContinuousClock.now + patience
        while true {
            do {
                return try await ask()
            } catch let error as StoreError {
                switch error {
                case .damaged, .refused: throw CommandFailure(.refused, error.description)
                case .unavailable, .moved:
                    guard ContinuousClock.now < deadline else {
                        throw CommandFailure(.unknown, error.description)
                    }
                }
            }
            try? await Task.sleep(for: .milliseconds(200))
        }
    }
}

extension Digest {
    /// As it is described.
    fileprivate init?(_ text: String) {
        let parts = text.split(separator: ":")
        guard parts.count == 2, let sum = UInt128(parts[0], radix: 16), let count = Int64(parts[1])
        else { return nil }
        self.init(sum: sum, count: count)
    }
}
