import Connections
import Foundation
import Ledger
import Verify

/// The receipt of one repair: what lay there, before anything is written, and what came of it.
///
/// Its thread is its own, because files block. One at a time has it, under the core's lock.
actor RepairReceipt: RepairNotes {
    private struct Line: Codable {
        var row: Int
        var key: String?
        var image: Data?
        /// Of a row that is adopted, in the canonical encoding.
        var before: Data?
        var adopted: Data?
        var outcome: RepairOutcome?
        var after: String?
    }

    private let thread = ThreadExecutor(name: "receipt")
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private let path: String
    private let plan: RepairPlan
    private let schema: Schema
    private var known: [Int: NotedOutcome]?
    /// Where the line of each image stands in the file: together they may be too large for memory.
    private var places: [Int: Range<Int>] = [:]
    private var size = 0

    init(path: String, plan: RepairPlan, schema: Schema) {
        self.path = path
        self.plan = plan
        self.schema = schema
    }

    deinit { thread.stop() }

    func outcomes() throws -> [Int: NotedOutcome] {
        if let known { return known }
        var known: [Int: NotedOutcome] = [:]
        let bytes = try mended()
        let decoder = JSONDecoder()
        var start = 0
        while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = try decode(bytes[start..<end], decoder)
            if line.image != nil { places[line.row] = start..<end }
            if let outcome = line.outcome {
                known[line.row] = NotedOutcome(outcome, after: line.after)
            }
            start = end + 1
        }
        size = start
        self.known = known
        return known
    }

    /// The file without a line that a crash has cut off: nothing of it was done.
    private func mended() throws -> Data {
        guard FileManager.default.fileExists(atPath: path) else { return Data() }
        let bytes = try Data(contentsOf: URL(filePath: path), options: .alwaysMapped)
        let end = bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        guard end < bytes.count else { return bytes }
        guard truncate(path, off_t(end)) == 0 else {
            throw CommandFailure(.unknown, "\(path): \(String(cString: strerror(errno)))")
        }
        return bytes.prefix(end)
    }

    private func decode(_ line: Data, _ decoder: JSONDecoder) throws -> Line {
        do {
            let line = try decoder.decode(Line.self, from: line)
            guard plan.rows.indices.contains(line.row) else {
                throw CommandFailure(.unknown, "row \(line.row) is not in the plan")
            }
            return line
        } catch {
            throw CommandFailure(.unknown, "\(path) is damaged: \(error)")
        }
    }

    func images(of rows: Range<Int>) throws -> [Int: NotedImage] {
        _ = try outcomes()
        let wanted = rows.filter { places[$0] != nil }
        if wanted.isEmpty { return [:] }
        let file = try FileHandle(forReadingFrom: URL(filePath: path))
        defer { try? file.close() }
        let decoder = JSONDecoder()
        var images: [Int: NotedImage] = [:]
        for row in wanted {
            guard let place = places[row] else { continue }
            try file.seek(toOffset: UInt64(place.lowerBound))
            let line = try decode(try file.read(upToCount: place.count) ?? Data(), decoder)
            images[row] = NotedImage(
                image: RowImage(bytes: Array(line.image ?? Data())),
                before: try line.before.map(decoded), adopted: try line.adopted.map(decoded))
        }
        return images
    }

    private func decoded(_ bytes: Data) throws -> Row {
        schema.completed(try Row(encoded: Array(bytes)))
    }

    func note(_ images: [Int: NotedImage]) throws {
        try append(
            images.sorted { $0.key < $1.key }.map { row, noted in
                Line(
                    row: row, key: plan.rows[row].key, image: Data(noted.image.bytes),
                    before: noted.before.map(encoded), adopted: noted.adopted.map(encoded))
            })
    }

    private func encoded(_ row: Row) -> Data { Data(row.encoded(keyCount: schema.keyCount)) }

    func note(_ outcomes: [Int: NotedOutcome]) throws {
        try append(
            outcomes.sorted { $0.key < $1.key }.map { row, noted in
                Line(
                    row: row, key: plan.rows[row].key, outcome: noted.outcome, after: noted.after)
            })
        known?.merge(outcomes) { $1 }
    }

    private func append(_ lines: [Line]) throws {
        _ = try outcomes()
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var bytes: [UInt8] = []
        var added: [Int: Range<Int>] = [:]
        for line in lines {
            let start = size + bytes.count
            bytes += try encoder.encode(line)
            if line.image != nil { added[line.row] = start..<size + bytes.count }
            bytes.append(UInt8(ascii: "\n"))
        }
        // A write that fails half-way leaves a line that is cut off: it is read anew, and mended.
        do {
            try DurableFile.append(bytes, to: path)
        } catch {
            known = nil
            places = [:]
            throw error
        }
        size += bytes.count
        places.merge(added) { $1 }
    }
}
