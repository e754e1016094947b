import Connections
import Foundation
import Ledger
import Verify

/// The plans and receipts in the data directory: a folder each, `plan.jsonl` and `receipt.jsonl`.
///
/// Its thread is its own, because files block.
actor RepairFiles {
    private let thread = ThreadExecutor(name: "repairs")
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private nonisolated let root: String
    /// What was found by plans that were read before: they do not change.
    private var findings: [String: Set<PlannedRow.Finding>] = [:]

    init(_ layout: DataLayout) {
        root = layout.repairs
    }

    deinit { thread.stop() }

    nonisolated func path(of id: String) -> String { "\(root)/\(id)/plan.jsonl" }
    nonisolated func receipt(of id: String) -> String { "\(root)/\(id)/receipt.jsonl" }

    // MARK: Plans

    /// In the order of their names. A folder without a plan is one that somebody was about to make.
    func ids() throws(CommandFailure) -> [String] {
        guard FileManager.default.fileExists(atPath: root) else { return [] }
        do {
            return try FileManager.default.contentsOfDirectory(atPath: root).sorted().filter {
                RepairPlan.isID($0) && FileManager.default.fileExists(atPath: path(of: $0))
            }
        } catch {
            throw CommandFailure(.unknown, "\(root) cannot be read: \(error)")
        }
    }

    /// Makes a folder that nobody has, and puts the plan there.
    /// - Parameter make: the plan of this name.
    func save(
        check: String, store: String, at now: Timestamp, _ make: @Sendable (String) -> RepairPlan?
    ) throws -> RepairPlan? {
        try PrivateFile.makeDirectory(root)
        for number in 1...10_000 {
            let id = RepairPlan.id(check: check, store: store, at: now, number: number)
            guard mkdir("\(root)/\(id)", 0o700) == 0 else {
                if errno == EEXIST { continue }
                throw FileWriteError(path: "\(root)/\(id)", step: "mkdir", code: errno)
            }
            guard let plan = make(id) else {
                rmdir("\(root)/\(id)")
                return nil
            }
            try DurableFile.replace(path(of: id), with: Self.bytes(of: plan))
            try DurableFile.makeFolder("\(root)/\(id)")
            return plan
        }
        throw CommandFailure(.unknown, "\(root) has ten thousand plans of this second")
    }

    /// A line for the plan, a line a row.
    private static func bytes(of plan: RepairPlan) throws -> Data {
        let encoder = encoder()
        var bytes = try encoder.encode(plan.head) + [UInt8(ascii: "\n")]
        for row in plan.rows { bytes += try encoder.encode(row) + [UInt8(ascii: "\n")] }
        return bytes
    }

    private static func encoder() -> JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }

    /// A plan, and its bytes.
    func plan(_ id: String) throws(CommandFailure) -> (plan: RepairPlan, bytes: [UInt8]) {
        guard RepairPlan.isID(id), FileManager.default.fileExists(atPath: path(of: id)) else {
            throw CommandFailure(
                .badInput, "there is no plan '\(id)' in \(root); opsd review list --all shows them")
        }
        do {
            let bytes = try Data(contentsOf: URL(filePath: path(of: id)))
            let lines = bytes.split(separator: UInt8(ascii: "\n"))
            let decoder = JSONDecoder()
            guard let first = lines.first else {
                throw CommandFailure(.unknown, "the file is empty")
            }
            let head = try decoder.decode(RepairPlan.Head.self, from: first)
            let rows = try lines.dropFirst().map { try decoder.decode(PlannedRow.self, from: $0) }
            guard head.id == id, head.rows == rows.count else {
                throw CommandFailure(.unknown, "it is not the plan that was written")
            }
            return (RepairPlan(head: head, rows: rows), Array(bytes))
        } catch {
            throw CommandFailure(
                .unknown,
                "\(path(of: id)) cannot be read: \(error); move the folder away, and opsd verify "
                    + "finds what still differs")
        }
    }

    /// What a plan has found; nothing for one that cannot be read any more.
    func findings(of id: String) -> Set<PlannedRow.Finding> {
        if let known = findings[id] { return known }
        let found = Set(((try? plan(id))?.plan.rows ?? []).map(\.finding))
        findings[id] = found
        return found
    }

    /// Takes out a plan that nothing has come of.
    func remove(_ id: String) {
        findings[id] = nil
        guard RepairPlan.isID(id), !FileManager.default.fileExists(atPath: receipt(of: id)) else {
            return
        }
        try? FileManager.default.removeItem(atPath: "\(root)/\(id)")
    }
}
