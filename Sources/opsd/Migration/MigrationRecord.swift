import ExactJSON
import Foundation
import Ledger

/// What a migration has done so far, so that the same command carries on after whatever ended it.
struct MigrationState: Codable, Sendable, Equatable {
    enum Phase: String, Codable, Sendable {
        case running
        /// The core may take the source over.
        case takingOver = "taking_over"
        case undoing = "rolling_back"
        case done, undone = "rolled_back"

        var isOver: Bool { self == .done || self == .undone }
        /// The core leaves the source alone: what is journaled may be taken back yet.
        var keepsSource: Bool { self == .running || self == .undoing }
    }

    /// What was asked for: a command that asks for the same carries on.
    struct Wanted: Codable, Sendable, Equatable {
        var dataset: String
        var from: String
        var to: String
        var since: String?
        var until: String?
        var date_field: String?

        /// The command that asks for it.
        var command: String {
            let dates = [("since", since), ("until", until), ("date-field", date_field)]
            return "opsd migrate --dataset \(dataset) --from \(from) --to \(to)"
                + dates.compactMap { name, value in value.map { " --\(name) \($0)" } }.joined()
        }
    }

    struct Counts: Codable, Sendable, Equatable {
        /// Rows of the source, in the present pass.
        var read = 0
        /// Of those: not of these days.
        var skipped = 0
        /// Of those: as the core has them, or copies of rows that the core has newer.
        var equal = 0
        var outdated = 0
        /// In all passes.
        var created = 0
        var replaced = 0
        var bytes = 0

        var journaled: Int { created + replaced }
    }

    let id: String
    let wanted: Wanted
    let started: String
    var phase = Phase.running
    var pass = 1
    /// Rows that this pass has journaled.
    var journaledInPass = 0
    /// The last row of this pass that was looked at, in the canonical encoding of its key.
    var cursor: Data?
    var counts = Counts()
    /// Of the rows within the dates that this pass has read: tells whether two runs read the same.
    var digest = Digest.empty.description
    var seconds = 0.0
}

/// A migration's folder: `state.json`, and `before.jsonl` with every row before it was changed.
struct MigrationRecord: Sendable {
    let folder: String
    private(set) var state: MigrationState

    private static let stateName = "/state.json"
    private var notes: String { folder + "/before.jsonl" }
    /// Rows of another program that a store had and has no more.
    var overwritten: String { folder + "/overwritten.jsonl" }

    // MARK: Which there are

    /// Those of a dataset that are not over.
    static func unfinished(of dataset: String, in root: String) throws -> [MigrationRecord] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        return try names.sorted().compactMap { name in
            let folder = root + "/" + name
            guard let state = try state(in: folder), state.wanted.dataset == dataset,
                !state.phase.isOver
            else { return nil }
            return MigrationRecord(folder: folder, state: state)
        }
    }

    /// Datasets that the core leaves alone in a store, because a migration from there may be taken back:
    /// why, in words.
    static func keptDatasets(of store: String, in root: String) -> [String: String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        var kept: [String: String] = [:]
        for name in names.sorted() {
            do {
                guard let state = try state(in: root + "/" + name), state.phase.keepsSource,
                    state.wanted.from == store
                else { continue }
                kept[state.wanted.dataset] =
                    "a migration from there is not over: \(state.wanted.command)"
            } catch {
                // It may be one from this store. The folder's name tells the dataset.
                kept[String(name.dropLast(timeLength + 1))] = error.message
            }
        }
        return kept
    }

    /// Nil when there is none.
    private static func state(in folder: String) throws(CommandFailure) -> MigrationState? {
        guard let bytes = FileManager.default.contents(atPath: folder + stateName) else {
            return nil
        }
        do {
            return try JSONDecoder().decode(MigrationState.self, from: bytes)
        } catch {
            throw CommandFailure(
                .unknown, "\(folder + stateName) cannot be read: \(error); move it away")
        }
    }

    /// Of `20260131T093000` in the name of a folder.
    private static let timeLength = 15

    /// A new one, of which nothing is on disk before `begin`.
    init(_ wanted: MigrationState.Wanted, in root: String, at now: Timestamp) {
        let time = now.description.filter { $0.isNumber || $0 == "T" }.prefix(
            Self.timeLength)
        let id = "\(wanted.dataset)-\(time)"
        folder = root + "/" + id
        state = MigrationState(id: id, wanted: wanted, started: now.description)
    }

    private init(folder: String, state: MigrationState) {
        self.folder = folder
        self.state = state
    }

    func begin() throws {
        try DurableFile.makeFolder(folder)
        try save()
    }

    /// Durable when it returns, unless nothing is to be written.
    mutating func update(
        isDurable: Bool = true, _ change: (inout MigrationState) -> Void
    ) throws {
        change(&state)
        if isDurable { try save() }
    }

    private func save() throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try DurableFile.replace(folder + Self.stateName, with: try encoder.encode(state))
    }

    // MARK: Rows of before

    /// Durable when it returns, and before anything of it is journaled.
    func note(_ changes: [(before: Row?, after: Row)], of schema: Schema) throws {
        try DurableFile.append(
            changes.flatMap { Self.line($0.before, $0.after, of: schema) }, to: notes)
    }

    /// Rows of another program, before they are taken out. Durable when it returns.
    func save(_ rows: [Row], of schema: Schema) throws {
        try DurableFile.append(rows.flatMap { Self.line($0, nil, of: schema) }, to: overwritten)
    }

    /// One row before and after, twice: as people read it, and behind that in the canonical encoding,
    /// because JSON does not tell every value from every other.
    private static func line(_ before: Row?, _ after: Row?, of schema: Schema) -> [UInt8] {
        func json(_ row: Row?) -> String {
            guard let row else { return "null" }
            var bytes: [UInt8] = []
            RowJSON.append(
                zip(schema.fields, row.values).map { (field: $0, value: $1) }, to: &bytes)
            return String(decoding: bytes, as: UTF8.self)
        }
        func exact(_ row: Row?) -> String {
            row.map {
                "\"\(Data($0.encoded(keyCount: schema.keyCount)).base64EncodedString())\""
            } ?? "null"
        }
        let text =
            "{\"before\":\(json(before)),\"after\":\(json(after)),"
            + "\"exact\":[\(exact(before)),\(exact(after))]}\n"
        return Array(text.utf8)
    }

    /// Whether anything may have been journaled.
    var hasNotes: Bool {
        ((try? FileManager.default.attributesOfItem(atPath: notes)[.size]) as? Int ?? 0) > 0
    }

    /// Takes a line out that a crash has cut off: nothing of it was journaled.
    func mend() throws {
        for path in [notes, overwritten] where FileManager.default.fileExists(atPath: path) {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
            let end = bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
            guard end < bytes.count else { continue }
            guard truncate(path, off_t(end)) == 0 else {
                throw CommandFailure(.unknown, "\(path): \(String(cString: strerror(errno)))")
            }
        }
    }

    /// The notes from the last to the first, some at a time: so many of them, or so many bytes.
    func eachNoteBackwards(
        _ count: Int, bytesMax: Int, of schema: Schema,
        _ body: ([(before: Row?, after: Row)]) async throws -> Void
    ) async throws {
        guard FileManager.default.fileExists(atPath: notes) else { return }
        // Mapped: it may be larger than memory.
        let bytes = try Data(contentsOf: URL(fileURLWithPath: notes), options: .alwaysMapped)
        var end = bytes.lastIndex(of: UInt8(ascii: "\n")) ?? 0
        var some: [(before: Row?, after: Row)] = []
        var someBytes = 0
        while end > 0 {
            let start = bytes[..<end].lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
            some.append(try read(Array(bytes[start..<end]), schema))
            someBytes += end - start
            if some.count == count || someBytes >= bytesMax {
                try await body(some)
                (some, someBytes) = ([], 0)
            }
            end = start - 1
        }
        if !some.isEmpty { try await body(some) }
    }

    private func read(_ line: [UInt8], _ schema: Schema) throws -> (before: Row?, after: Row) {
        if let exact = (try? JSONValue(parsing: line))?["exact"]?.elements, exact.count == 2,
            let after = Self.row(exact[1], schema)
        {
            if exact[0] == .null { return (nil, after) }
            if let before = Self.row(exact[0], schema) { return (before, after) }
        }
        throw CommandFailure(
            .unknown,
            "\(notes): a line is not what was written: "
                + String(decoding: line.prefix(80), as: UTF8.self))
    }

    private static func row(_ json: JSONValue, _ schema: Schema) -> Row? {
        guard let bytes = json.text.flatMap({ Data(base64Encoded: $0) }),
            let row = try? Row(encoded: Array(bytes)), row.dataset == schema.dataset
        else { return nil }
        return schema.completed(row)
    }
}

/// Files of opsd's own that must be there after a crash. Owner-only, as everything that it makes.
enum DurableFile {
    static func makeFolder(_ path: String) throws {
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700])
        try flush((path as NSString).deletingLastPathComponent)
    }

    /// Readers see the old bytes or the new ones.
    static func replace(_ path: String, with bytes: Data) throws {
        let draft = path + ".new"
        try? FileManager.default.removeItem(atPath: draft)
        try append(Array(bytes), to: draft)
        guard rename(draft, path) == 0 else {
            throw CommandFailure(.unknown, "\(path): \(String(cString: strerror(errno)))")
        }
        try flush((path as NSString).deletingLastPathComponent)
    }

    static func append(_ bytes: [UInt8], to path: String) throws {
        let isNew = access(path, F_OK) != 0
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw CommandFailure(.unknown, "\(path): \(String(cString: strerror(errno)))")
        }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        try file.write(contentsOf: Data(bytes))
        try file.synchronize()
        if isNew { try flush((path as NSString).deletingLastPathComponent) }
    }

    private static func flush(_ folder: String) throws {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0, fsync(descriptor) == 0, close(descriptor) == 0 else {
            throw CommandFailure(.unknown, "\(folder): \(String(cString: strerror(errno)))")
        }
    }
}
