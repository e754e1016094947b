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
    /// The route writes the store where the rows lie, so that opsd takes it over in the end.
    let writesSource: Bool
    var record: MigrationRecord
    var progress: MigrationProgress

    /// A store that cannot search by itself reads everything for each page.
    private static let pageRowsMax = 10_000
    private static let pageBytes = 64 << 20
    /// As long as nobody knows how large they are.
    private static let firstPageRows = 500
    /// What one entry has at most, or one larger row: trading waits while it is decided.
    private static let entryRows = 500
    private static let entryBytes = 1 << 20
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
        query.limit = Self.firstPageRows
        query.afterKey = try record.state.cursor.map { try Row(encoded: Array($0)).values }
        while true {
            let asked = query
            let page = try await patiently { try await source.rows(asked) }
            guard let last = page.last else { return }
            let rows = page.map { SourceRow($0, of: schema) }
            for group in Self.groups(rows) {
                try await take(group)
                let state = record.state
                progress.show(
                    state.counts.read, of: total,
                    state.pass == 1 ? "reading" : "looking again")
            }
            query.afterKey = last.row.key(in: schema).values
            query.limit = Self.pageRows(after: rows)
        }
    }

    /// What goes into one entry each.
    static func groups(_ rows: [SourceRow]) -> [ArraySlice<SourceRow>] {
        var groups: [ArraySlice<SourceRow>] = []
        var (start, bytes) = (0, 0)
        for (index, row) in rows.enumerated() {
            if index - start == entryRows || index > start && bytes + row.bytes.count > entryBytes {
                groups.append(rows[start..<index])
                (start, bytes) = (index, 0)
            }
            bytes += row.bytes.count
        }
        return start < rows.count ? groups + [rows[start...]] : groups
    }

    /// The next rows are likely as large as the last ones.
    private static func pageRows(after rows: [SourceRow]) -> Int {
        let bytes = rows.reduce(0) { $0 + $1.bytes.count } / max(1, rows.count)
        return max(1, min(pageRowsMax, pageBytes / max(1, bytes)))
    }

    private mutating func take(_ rows: ArraySlice<SourceRow>) async throws {
        var chosen: [SourceRow] = []
        for row in rows where try dates?.contain(row.row) ?? true { chosen.append(row) }
        if let large = chosen.first(where: { $0.bytes.count > MigrationControl.rowBytesMax }) {
            throw CommandFailure(
                .refused,
                "\(wanted.from): the row \(large.row.key(in: schema)) has \(large.bytes.count) bytes, "
                    + "and the journal takes rows of up to \(MigrationControl.rowBytesMax)")
        }
        let done = try await journal(chosen)
        let cursor = rows.last.map { last in
            let key = last.row.key(in: schema)
            return Data(
                Row(dataset: key.dataset, values: key.values).encoded(keyCount: schema.keyCount))
        }
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
            for row in chosen {
                state.counts.bytes += row.bytes.count
                digest.add(Self.digestKey.hash(Array(row.bytes)))
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

    private func journal(_ rows: [SourceRow]) async throws -> Done {
        var done = Done()
        var rest = rows[...]
        while !rest.isEmpty {
            let comparison = try await core.compare(rest)
            let isStill = try await write(comparison.changes, of: Array(rest))
            // Somebody has written one of them meanwhile: they are compared anew.
            guard isStill else { continue }
            done.equal += comparison.equal
            done.outdated += comparison.outdated
            let created = comparison.changes.count { $0.known == nil }
            done.created += created
            done.replaced += comparison.changes.count - created
            rest = rest.dropFirst(comparison.count)
        }
        return done
    }

    /// False when the core has other rows by now than it said.
    private func write(
        _ changes: [MigrationControl.Change], of rows: [SourceRow]
    ) async throws -> Bool {
        if changes.isEmpty || isDry { return true }
        var notes: [(before: Row?, after: Row)] = []
        var sent: [MigrationControl.SentRow] = []
        for change in changes {
            let row = rows[change.place]
            let before = try change.before.map { schema.completed(try Row(encoded: Array($0))) }
            notes.append((before, row.row))
            sent.append(.init(row: row.bytes, sequence: change.known))
        }
        try record.note(notes, of: schema)
        return try await !core.write(.init(actor: actor, rows: sent)).moved
    }

    // MARK: Stores

    /// Until the target has the rows. What another program had there, and the core has not, is saved first.
    /// - Returns: false when the target is the source itself and has rows that the core has not: of other
    ///   days, or written meanwhile. Nothing is done to them.
    mutating func deliver() async throws -> Bool {
        if try await !takeOver(wanted.to) {
            guard wanted.from != wanted.to else { return false }
            try await saveOverwritten()
            try await core.rebuild(wanted.to, by: operatorName)
        }
        try await core.untilFollowing(wanted.to)
        return true
    }

    /// Has a store take over the rows that lie there and that the core has by now.
    /// - Returns: false when there are others.
    mutating func takeOver(_ store: String) async throws -> Bool {
        // From here on it may happen at any time.
        if store == wanted.from { try update { $0.phase = .takingOver } }
        let isDone = AtomicFlag()
        let work = Task { [core] in
            defer { isDone.set() }
            return try await core.look(at: store)
        }
        while !isDone.isSet {
            try? await Task.sleep(for: .milliseconds(100))
            guard let now = try? await core.store(store), let rows = now.rows_done,
                let total = now.rows_total
            else { continue }
            progress.show(rows, of: total, "stamping \(store)")
        }
        return try await work.value
    }

    /// Behind what an earlier attempt has saved, which may have taken out a part of it.
    private func saveOverwritten() async throws {
        var query = RowQuery(dataset: schema.dataset)
        query.limit = Self.firstPageRows
        while true {
            let asked = query
            let page = try await patiently { try await target.rows(asked) }
            guard let last = page.last else { return }
            try record.save(page.filter { $0.sequence == .none }.map(\.row), of: schema)
            query.afterKey = last.row.key(in: schema).values
            query.limit = Self.pageRows(after: page.map { SourceRow($0, of: schema) })
        }
    }

    // MARK: Taking back

    typealias Undone = (undone: Int, left: Int)

    /// Takes back what it journaled, of each row that nobody has written since.
    /// - Returns: nil when opsd writes the source by now, which would lose the rows: nothing is done.
    mutating func undo() async throws -> Undone? {
        // From here on the core does not take the source over, and what it was about to do there is over
        // when it has looked.
        try update { $0.phase = .undoing }
        if writesSource, record.hasNotes, try await core.look(at: wanted.from) {
            try update { $0.phase = .takingOver }
            return nil
        }
        var (undone, noted) = (0, 0)
        let (core, actor, schema) = (core, actor, schema)
        try await record.eachNoteBackwards(
            Self.entryRows, bytesMax: Self.entryBytes, of: schema
        ) { notes in
            let pairs = notes.map { note in
                MigrationControl.Undo.Pair(
                    before: note.before.map { Data($0.encoded(keyCount: schema.keyCount)) },
                    after: Data(note.after.encoded(keyCount: schema.keyCount)))
            }
            undone += try await core.undo(.init(actor: actor, pairs: pairs))
            noted += notes.count
        }
        try await end(.undone)
        return (undone, noted - undone)
    }

    mutating func finish() async throws {
        try await end(.done)
    }

    /// What keeps the source from being written is another reason now, or none.
    private mutating func end(_ phase: MigrationState.Phase) async throws {
        let wasKept = record.state.phase.keepsSource
        try update { $0.phase = phase }
        if wasKept, writesSource { _ = try? await core.look(at: wanted.from) }
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

/// A row as it was found, and its canonical encoding.
struct SourceRow {
    let row: Row
    let sequence: SequenceNumber
    let bytes: Data

    init(_ stamped: StampedRow, of schema: Schema) {
        row = stamped.row
        sequence = stamped.sequence
        bytes = Data(row.encoded(keyCount: schema.keyCount))
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
